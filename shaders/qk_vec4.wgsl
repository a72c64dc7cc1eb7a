// Queries and keys, four elements at a time: head_dim, offsets and strides are multiples of 4. qk_scalar.wgsl is its twin.
//
// Host       src/shader.rs

@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;

// Elements 4d..4d+4 of the row that starts at element `row`; zeros past head_dim.
fn load_q(row: u32, d: u32) -> vec4<f32> {
  return q[row / 4 + d];
}

fn load_k(row: u32, d: u32) -> vec4<f32> {
  return k[row / 4 + d];
}
