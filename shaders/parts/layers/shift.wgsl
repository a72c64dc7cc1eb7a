// What a layer adds to each row; no_shift.wgsl stands in where it adds nothing.
//
// Needs      load_shift
// Host       src/kernels/layers/linear.rs, src/kernels/layers/norm.rs

fn shift_of(c: u32) -> vec4<f32> {
  return load_shift(shift_row(0, 0, 0), c);
}
