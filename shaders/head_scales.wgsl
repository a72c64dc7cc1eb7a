// The factor on the scores of a head, which is learned; no_head_scales.wgsl stands in where all heads have the same.
//
// Needs      block.wgsl, workspace.wgsl
// Host       src/spec.rs
// Reference  Liu et al. 2022, equation 2: of queries and keys of length 1, 1 / tau

fn scale_of(tile: Tile, query: Query) -> f32 {
  return params.scale * bitcast<f32>(workspace[params.head_scales_at + head_of(tile, query)]);
}
