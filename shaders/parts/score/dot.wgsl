// What four elements of a query and a key add to their score: products; additive.wgsl is its twin.
//
// Needs      block.wgsl
// Host       src/kernels/scoring.rs

// Nothing weighs a product.
fn score_weight(tile: Tile, query: Query, d: u32) -> vec4<f32> {
  return vec4<f32>();
}

// The slope of the sum by the elements of the query, and by those of the key.
fn slope_by_query(x: vec4<f32>, y: vec4<f32>, weight: vec4<f32>) -> vec4<f32> {
  return y;
}

fn slope_by_key(x: vec4<f32>, y: vec4<f32>, weight: vec4<f32>) -> vec4<f32> {
  return x;
}

// Everywhere in this order: a score has the same bits whichever kernel computes it, and so its weight fits the sum that another
// kernel left.
fn add_score(x: vec4<f32>, y: vec4<f32>, weight: vec4<f32>, sum: f32) -> f32 {
  return fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
}
