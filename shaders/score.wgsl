// The score of a query and a key. Every kernel scores through this part and those that it needs.
//
// Needs      params.wgsl, softcap.wgsl or no_softcap.wgsl
// Host       src/spec.rs
//
// Visibility travels beside the score. In a running softmax a hidden score is HIDDEN, a visible one is never below LOWEST, and
// a running maximum starts between the two: the exponential of a hidden score is then exactly 0, and no infinity ever enters
// arithmetic.

const HIDDEN = -1.0e30;
const FLOOR = -1.0e29;
const LOWEST = -1.0e28;
const NEGATIVE_INFINITY = 0xff800000u; // as bits: shaders may assume that no float is infinite
const LOG2_E = 1.4426950408889634;     // scores in units of log2: exp2 is what hardware has
const LN_2 = 0.6931471805599453;

// sum + x . y, everywhere in this order: a score has the same bits whichever kernel computes it, and so its weight fits the sum
// that another kernel left.
fn add_dot(x: vec4<f32>, y: vec4<f32>, sum: f32) -> f32 {
  return fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
}

fn scaled(product: f32) -> f32 {
  return product * params.scale;
}
