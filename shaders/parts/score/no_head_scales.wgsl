// Stands in for head_scales.wgsl where all heads have the same factor.
//
// Needs      block.wgsl
// Host       src/problem/attention/spec.rs

fn scale_of(tile: Tile) -> f32 {
  return params.scale;
}
