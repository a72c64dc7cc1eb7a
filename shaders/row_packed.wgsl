// Whether a query row belongs to a sequence; row_dense.wgsl is its twin.
//
// Needs      params.wgsl, workspace.wgsl
// Host       src/kernels/merge.rs

fn exists(row: u32) -> bool {
  var s = 0u;
  var past = params.sequences;
  while past - s > 1 {
    let middle = (s + past) / 2;
    if workspace[params.cu_q_at + middle] <= row { s = middle; } else { past = middle; }
  }
  return workspace[params.cu_q_at + s] <= row && row < workspace[params.cu_q_at + s + 1];
}
