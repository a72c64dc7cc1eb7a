// Factors of a normalised row; no_gain.wgsl stands in where there are none.
//
// Needs      load_gain
// Host       src/kernels/norm.rs

fn gain_of(d: u32) -> vec4<f32> {
  return load_gain(params.keep_at.x, d);
}
