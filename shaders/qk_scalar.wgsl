// Queries and keys, one element at a time, for any head_dim, offset and stride. Twin of qk_vec4.wgsl.
//
// Needs      HEAD_DIM (preamble)
// Host       src/shader.rs

@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;

fn load_q(row: u32, d: u32) -> vec4<f32> {
  var x = vec4<f32>();
  let n = min(HEAD_DIM - 4 * d, 4);
  for (var e = 0u; e < n; e++) { x[e] = q[row + 4 * d + e]; }
  return x;
}

fn load_k(row: u32, d: u32) -> vec4<f32> {
  var x = vec4<f32>();
  let n = min(HEAD_DIM - 4 * d, 4);
  for (var e = 0u; e < n; e++) { x[e] = k[row + 4 * d + e]; }
  return x;
}
