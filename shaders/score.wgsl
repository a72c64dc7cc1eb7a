// The score of a query and a key, and which keys a query sees. Every kernel scores through this part.
//
// Needs      params.wgsl
// Host       src/spec.rs, src/mask.rs
//
// Visibility travels beside the score. A hidden score is HIDDEN, a visible one is never below LOWEST, and a running maximum
// starts between the two: the exponential of a hidden score is then exactly 0, and no infinity ever enters arithmetic.

const HIDDEN = -1.0e30;
const FLOOR = -1.0e29;
const LOWEST = -1.0e28;
const NEGATIVE_INFINITY = 0xff800000u; // as bits: shaders may assume that no float is infinite

fn score(product: f32) -> f32 {
  return max(product * params.scale, LOWEST);
}

// Query i sees the keys first_key(i)..end_key(i); both grow with i.
fn first_key(i: u32) -> u32 {
  return u32(clamp(i32(i) + params.band_lo, 0, i32(params.kv_len)));
}

fn end_key(i: u32) -> u32 {
  return u32(clamp(i32(i) + params.band_hi + 1, 0, i32(params.kv_len)));
}
