// Products of a block of rows with weights by cooperative matrices: 16-bit floats in, 32-bit sums.
//
// Workgroup memory  x_tile, weight_tile, sum_tile
// Needs             T RT GROUPS SIZE DS (preamble: size of a matrix, matrices of rows, subgroups and their size, slice of the inputs),
//                   MatrixA MatrixB MatrixC (preamble), linear.wgsl with TX = T / 4 and a matrix of outputs for each of COLS
// Host              src/kernels/layers/linear.rs
//
// linear_tile.wgsl, linear_rows.wgsl and linear_few.wgsl stand in for it. Each subgroup has RT * T rows of the block. Sums go
// through workgroup memory a matrix of outputs at a time. All subgroups meet the same barriers.

const KS = 4 * DS + 8; // a stride that keeps neighbours in different banks

var<workgroup> x_tile: array<f16, BR * KS>;
var<workgroup> weight_tile: array<f16, 4 * BC * KS>;
var<workgroup> sum_tile: array<f32, BR * T>;

struct InSubgroup { @builtin(subgroup_id) group: u32, @builtin(subgroup_invocation_id) unused: u32 }

// Slices of rows and weights; what does not exist counts as zeros.
fn stage(block: Block, t: u32, d0: u32) {
  for (var i = t; i < BR * DS; i += THREADS) {
    let row = block.row0 + i / DS;
    let d = d0 + i % DS;
    var four = vec4<f32>();
    if row < block.rows && d < D4 { four = load_x(x_start(block, row), d); }
    for (var e = 0u; e < 4; e++) { x_tile[i / DS * KS + i % DS * 4 + e] = f16(four[e]); }
  }
  for (var i = t; i < 4 * BC * DS; i += THREADS) {
    let output = 4 * block.c0 + i / DS;
    let d = d0 + i % DS;
    var four = vec4<f32>();
    if output < outputs_end(block) && d < D4 { four = load_weight(weight_start(block, output), d); }
    for (var e = 0u; e < 4; e++) { weight_tile[i / DS * KS + i % DS * 4 + e] = f16(four[e]); }
  }
}

fn products(
  block: Block,
  lane: Lane,
  in_subgroup: InSubgroup,
  sums: ptr<function, array<vec4<f32>, RM * COLS>>,
) {
  let row0 = in_subgroup.group * RT * T;
  var sum: array<MatrixC, RT * COLS>;
  for (var d0 = 0u; d0 < params.head_vec4s; d0 += DS) {
    workgroupBarrier();
    stage(block, lane.t, d0);
    workgroupBarrier();
    for (var d = 0u; d < 4 * DS; d += T) {
      var xf: array<MatrixA, RT>;
      for (var r = 0u; r < RT; r++) { xf[r] = coopLoadT<MatrixA>(&x_tile[(row0 + r * T) * KS + d], KS); }
      for (var n = 0u; n < COLS; n++) {
        let wf = coopLoad<MatrixB>(&weight_tile[n * T * KS + d], KS);
        for (var r = 0u; r < RT; r++) { sum[r * COLS + n] = coopMultiplyAdd(xf[r], wf, sum[r * COLS + n]); }
      }
    }
  }
  for (var n = 0u; n < COLS; n++) {
    workgroupBarrier();
    for (var r = 0u; r < RT; r++) {
      let x = sum[r * COLS + n];
      coopStoreT(x, &sum_tile[(row0 + r * T) * T], T);
    }
    workgroupBarrier();
    for (var r = 0u; r < RM; r++) {
      let at = row_of(lane, r) * T + 4 * lane.tx;
      (*sums)[r * COLS + n] = vec4(sum_tile[at], sum_tile[at + 1], sum_tile[at + 2], sum_tile[at + 3]);
    }
  }
}
