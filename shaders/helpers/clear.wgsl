// Fills what measures add to.
//
// One workgroup     THREADS words
// One invocation    a word
// Grid              words
//
// Needs      params.wgsl
// Host       src/kernels/helpers/clear.rs

const THREADS = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let i = params.first + (workgroup.y * params.grid_x + workgroup.x) * THREADS + t;
  if i < params.end { cleared[i] = params.fill; }
}
