// What a layer adds to an element; no_residual.wgsl stands in where it adds nothing.
//
// Needs      params.wgsl, load_residual
// Host       src/kernels/layers/linear.rs, src/kernels/layers/norm.rs

fn residual_of(row: u32, c: u32) -> vec4<f32> {
  return load_residual(residual_row(0, 0, row), c);
}
