// Copies a small input into the workspace, word by word.
//
// One workgroup     THREADS words
// One invocation    a word
// Grid              words
//
// Needs      params.wgsl, workspace
// Host       src/kernels/helpers/pack.rs
//
// A kernel of its own, and no recorded copy: it needs no usage but STORAGE, and runs inside a caller's pass.

const THREADS = 64u;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let i = params.first + (workgroup.y * params.grid_x + workgroup.x) * THREADS + t;
  if i < params.end { workspace[params.pack_at + i] = small[i]; }
}
