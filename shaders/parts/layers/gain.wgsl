// Factors of a normalised row; no_gain.wgsl stands in where there are none.
//
// Needs      load_gain
// Host       src/kernels/layers/norm.rs

fn gain_of(d: u32) -> vec4<f32> {
  return load_gain(gain_row(0, 0, 0), d);
}
