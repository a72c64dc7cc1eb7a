// Values and output, one element at a time, for any value_dim, offset and stride. Twin of v_vec4.wgsl.
//
// Needs      VALUE_DIM (preamble)
// Host       src/shader.rs

@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn load_v(row: u32, d: u32) -> vec4<f32> {
  var x = vec4<f32>();
  let n = min(VALUE_DIM - 4 * d, 4);
  for (var e = 0u; e < n; e++) { x[e] = v[row + 4 * d + e]; }
  return x;
}

fn store_out(row: u32, d: u32, x: vec4<f32>) {
  let n = min(VALUE_DIM - 4 * d, 4);
  for (var e = 0u; e < n; e++) { out[row + 4 * d + e] = x[e]; }
}
