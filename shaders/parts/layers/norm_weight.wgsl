// Factors of a normalised row; no_norm_weight.wgsl stands in where there are none.
//
// Needs      load_norm_weight
// Host       src/kernels/layers/norm.rs

fn norm_weight_of(d: u32) -> vec4<f32> {
  return load_norm_weight(norm_weight_row(0, 0, 0), d);
}
