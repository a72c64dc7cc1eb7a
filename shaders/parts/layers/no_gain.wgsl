// Stands in for gain.wgsl where a normalised row has no factors.
//
// Host       src/kernels/layers/norm.rs

fn gain_of(d: u32) -> vec4<f32> {
  return vec4(1.0);
}
