// Products of few rows with four outputs, whose inputs all invocations share: the weights are read once and side by side.
//
// Workgroup memory  share_tile
// Needs             linear.wgsl with TX 1, BC 1, RM 1 and COLS 1
// Host              src/kernels/layers/linear.rs
//
// linear_tile.wgsl and linear_rows.wgsl stand in for it. Invocation r gets the sums of row r.

var<workgroup> share_tile: array<vec4<f32>, BR * THREADS>;

fn products(
  block: Block,
  lane: Lane,
  in_subgroup: InSubgroup,
  sums: ptr<function, array<vec4<f32>, RM * COLS>>,
) {
  var wf: array<vec4<f32>, 4>;
  var share: array<vec4<f32>, BR>;
  for (var r = 0u; r < BR; r++) { share[r] = vec4<f32>(); }
  for (var d = lane.t; d < params.head_vec4s; d += THREADS) {
    for (var n = 0u; n < 4; n++) { wf[n] = load_weight(weight_start(block, 4 * block.c0 + n), d); }
    for (var r = 0u; r < BR; r++) { share[r] = add_dots(load_x(x_start(block, block.row0 + r), d), wf, share[r]); }
  }
  for (var r = 0u; r < BR; r++) { share_tile[r * THREADS + lane.t] = share[r]; }
  workgroupBarrier();
  var sum = vec4<f32>();
  if lane.t < BR {
    for (var i = 0u; i < THREADS; i++) { sum += share_tile[lane.t * THREADS + i]; }
  }
  (*sums)[0] = sum;
}
