// The score of a query and a key. Every kernel scores through this part and those that it needs.
//
// Needs      params.wgsl, dot.wgsl or additive.wgsl, head_scales and softcap or what stands in for them
// Host       src/problem/attention/spec.rs
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
