// The score of a query and a key. Every kernel scores through this part and those that it needs.
//
// Needs      params.wgsl, dot.wgsl or additive.wgsl, head_scales and softcap or what stands in for them
// Host       src/problem/attention/spec.rs
//
// Visibility travels beside the score. In a running softmax a hidden score is HIDDEN, a visible one is never below LOWEST, and
// a running maximum starts between the two: the exponential of a hidden score is then exactly 0, and no infinity ever enters
// arithmetic. A visible score is not above HIGHEST either, so that products that overflow give the largest score and not NaN.

const HIDDEN = -1.0e30;
const FLOOR = -1.0e29;
const LOWEST = -1.0e28;
const HIGHEST = 1.0e28;
const NEGATIVE_INFINITY = 0xff800000u; // as bits: shaders may assume that no float is infinite
const LOG2_E = 1.4426950408889634;
const LN_2 = 0.6931471805599453;

// e to the power of a difference of two scores. These are subtracted first and scaled to exp2, which hardware has, afterwards: so that
// scores that share a large offset keep the digits in which they differ.
fn exp_of(difference: f32) -> f32 {
  return exp2(difference * LOG2_E);
}
