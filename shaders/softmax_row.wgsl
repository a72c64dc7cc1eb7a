// What the running maximum and sum of a row become at its end. Scores are in units of log2: exp2 is what hardware has.
//
// Needs      score.wgsl
// Host       src/shader.rs
// Reference  src/reference/tiled.rs

const LOG2_E = 1.4426950408889634;
const LN_2 = 0.6931471805599453;

// The factor that turns an accumulator into an output row. A row that saw no key becomes zero.
fn row_factor(sum: f32) -> f32 {
  return select(0.0, 1.0 / sum, sum > 0.0);
}

// log(sum of exp(scores)) as bits.
fn row_lse(highest: f32, sum: f32) -> u32 {
  if sum > 0.0 { return bitcast<u32>((highest + log2(sum)) * LN_2); }
  return NEGATIVE_INFINITY;
}
