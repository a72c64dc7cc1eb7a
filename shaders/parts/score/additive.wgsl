// What four elements of a query and a key add to their score: the weighted tanh of their sums; dot.wgsl is its twin.
//
// Needs      HEAD_DIM (preamble), block.wgsl, score_weights
// Host       src/kernels/scoring.rs
// Reference  Bahdanau, Cho and Bengio 2015, appendix A.1.2

// Elements past the end weigh nothing.
fn score_weight(tile: Tile, query: Query, d: u32) -> vec4<f32> {
  let row = score_weights_row(0, 0, head_of(tile, query));
  let c = 4 * d + vec4(0u, 1u, 2u, 3u);
  let i = row + min(c, vec4(HEAD_DIM - 1));
  let w = bitcast<vec4<f32>>(vec4(workspace[i.x], workspace[i.y], workspace[i.z], workspace[i.w]));
  return select(vec4<f32>(), w, c < vec4(HEAD_DIM));
}

// x P(z) / Q(z), z = x * x, the best such quotient on -8.2..8.2, where it reaches 1 and beyond which tanh stays there. No further
// than 3 units of the last place from tanh, near 0 too; and it needs no exponential, whose range and precision drivers differ in.
fn tanh4(x: vec4<f32>) -> vec4<f32> {
  let y = clamp(x, vec4(-8.2), vec4(8.2));
  let z = y * y;
  let p = fma(z, fma(z, fma(z, fma(z, vec4(1.484058e-8), vec4(2.163729e-5)), vec4(3.5566874e-3)), vec4(0.13432124)), vec4(1.0));
  let q = fma(z, fma(z, fma(z, fma(z, vec4(8.370613e-7), vec4(3.3864428e-4)), vec4(2.6108302e-2)), vec4(0.4676545)), vec4(1.0));
  return y * p / q;
}

fn add_score(x: vec4<f32>, y: vec4<f32>, weight: vec4<f32>, sum: f32) -> f32 {
  let a = tanh4(x + y);
  return fma(weight.w, a.w, fma(weight.z, a.z, fma(weight.y, a.y, fma(weight.x, a.x, sum))));
}

// The slope of the sum by the elements of the query, which is that by the elements of the key.
fn slope_by_query(x: vec4<f32>, y: vec4<f32>, weight: vec4<f32>) -> vec4<f32> {
  let a = tanh4(x + y);
  return weight * (1.0 - a * a);
}

fn slope_by_key(x: vec4<f32>, y: vec4<f32>, weight: vec4<f32>) -> vec4<f32> {
  return slope_by_query(x, y, weight);
}

// And by the weights.
fn slope_by_weight(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  return tanh4(x + y);
}
