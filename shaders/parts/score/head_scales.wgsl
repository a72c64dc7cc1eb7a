// The factor on the scores of a head, which is learned; no_head_scales.wgsl stands in where all heads have the same.
//
// Needs      block.wgsl, head_scales
// Host       src/problem/attention/spec.rs
// Reference  Liu et al. 2022, equation 2: of queries and keys of length 1, 1 / tau

// A score's product is multiplied by it, and changes by params.scale times the product for each unit of the head's factor.
fn scale_of(tile: Tile) -> f32 {
  return params.scale * bitcast<f32>(workspace[head_scales_row(0, 0, 0) + tile.at.head]);
}
