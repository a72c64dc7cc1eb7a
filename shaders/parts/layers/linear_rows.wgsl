// Products of rows with weights, each invocation having whole rows of x to itself: what CPUs do best.
//
// Needs      GROUP (preamble: vec4 of outputs whose weights neighbours share), linear.wgsl with TX 1
// Host       src/kernels/layers/linear.rs
//
// linear_tile.wgsl and linear_few.wgsl stand in for it. No barrier, and no memory but registers.

fn products(
  block: Block,
  lane: Lane,
  in_subgroup: InSubgroup,
  sums: ptr<function, array<vec4<f32>, RM * COLS>>,
) {
  var xf: array<vec4<f32>, RM>;
  var wf: array<vec4<f32>, 4>;
  for (var i = 0u; i < RM * COLS; i++) { (*sums)[i] = vec4<f32>(); }
  for (var d = 0u; d < params.head_vec4s; d++) {
    for (var r = 0u; r < RM; r++) { xf[r] = load_x(x_start(block, block.row0 + row_of(lane, r)), d); }
    for (var g = 0u; g < COLS; g += GROUP) {
      let held = load_weight(weight_start(block, 4 * (block.c0 + g) + held_by(in_subgroup)), d);
      for (var j = g; j < g + GROUP; j++) {
        for (var n = 0u; n < 4; n++) {
          wf[n] = held_for(in_subgroup, held, 4 * (j - g) + n);
          if !SHUFFLED { wf[n] = load_weight(weight_start(block, 4 * (block.c0 + j) + n), d); }
        }
        for (var r = 0u; r < RM; r++) { (*sums)[r * COLS + j] = add_dots(xf[r], wf, (*sums)[r * COLS + j]); }
      }
    }
  }
}
