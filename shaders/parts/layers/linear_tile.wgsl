// Products of a block of rows with weights, both in workgroup memory in slices of DS vec4 of the inputs: what GPUs do best.
//
// Workgroup memory  x_tile, weight_tile
// Needs             DS (preamble), linear.wgsl with COLS 1
// Host              src/kernels/layers/linear.rs
//
// linear_rows.wgsl and linear_few.wgsl stand in for it. Rows and outputs that do not exist count as zeros.

const PAD = DS + 1; // an odd number of vec4 per row keeps neighbours in different banks

var<workgroup> x_tile: array<vec4<f32>, BR * PAD>;
var<workgroup> weight_tile: array<vec4<f32>, 4 * BC * PAD>; // row n * BC + c holds output n of vec4 c: neighbours read neighbours

fn products(
  block: Block,
  lane: Lane,
  in_subgroup: InSubgroup,
  sums: ptr<function, array<vec4<f32>, RM * COLS>>,
) {
  var wf: array<vec4<f32>, 4>;
  for (var r = 0u; r < RM; r++) { (*sums)[r] = vec4<f32>(); }
  for (var d0 = 0u; d0 < params.head_vec4s; d0 += DS) {
    workgroupBarrier();
    for (var i = lane.t; i < BR * DS; i += THREADS) {
      let row = block.row0 + i / DS;
      let d = d0 + i % DS;
      var four = vec4<f32>();
      if row < block.rows && d < D4 { four = load_x(x_start(block, row), d); }
      x_tile[i / DS * PAD + i % DS] = four;
    }
    for (var i = lane.t; i < 4 * BC * DS; i += THREADS) {
      let output = 4 * (block.c0 + i / DS % BC) + i / DS / BC;
      let d = d0 + i % DS;
      var four = vec4<f32>();
      if output < outputs_end(block) && d < D4 { four = load_weight(weight_start(block, output), d); }
      weight_tile[i / DS * PAD + i % DS] = four;
    }
    workgroupBarrier();
    for (var d = 0u; d < params.slice_vec4s; d++) {
      for (var n = 0u; n < 4; n++) { wf[n] = weight_tile[(n * BC + lane.tx) * PAD + d]; }
      for (var r = 0u; r < RM; r++) { (*sums)[r] = add_dots(x_tile[row_of(lane, r) * PAD + d], wf, (*sums)[r]); }
    }
  }
}
