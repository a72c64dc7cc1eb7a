// Values and output, four elements at a time: value_dim, offsets and strides are multiples of 4. v_scalar.wgsl is its twin.
//
// Host       src/shader.rs

@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

// Elements 4d..4d+4 of the row that starts at element `row`; zeros past value_dim.
fn load_v(row: u32, d: u32) -> vec4<f32> {
  return v[row / 4 + d];
}

fn store_out(row: u32, d: u32, x: vec4<f32>) {
  out[row / 4 + d] = x;
}
