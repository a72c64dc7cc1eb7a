// What a layer adds to each row; no_shift.wgsl stands in where it adds nothing.
//
// Needs      load_shift
// Host       src/kernels/linear.rs, src/kernels/norm.rs

fn shift_of(c: u32) -> vec4<f32> {
  return load_shift(params.bias_at.x, c);
}
