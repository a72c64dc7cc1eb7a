// Whether a query row belongs to a sequence; row_dense.wgsl is its twin.
//
// Needs      params.wgsl, workspace
// Host       src/kernels/helpers/merge.rs

fn exists(row: u32) -> bool {
  var s = 0u;
  var past = params.sequences;
  while past - s > 1 {
    let middle = (s + past) / 2;
    if workspace[cu_q_row(0, 0, 0) + middle] <= row { s = middle; } else { past = middle; }
  }
  return workspace[cu_q_row(0, 0, 0) + s] <= row && row < workspace[cu_q_row(0, 0, 0) + s + 1];
}
