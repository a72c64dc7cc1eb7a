// Where a function of the caller's changes a score or hides a key; this file changes nothing.
//
// Needs      pair.wgsl
// Host       src/kernels/scoring.rs

fn custom_score(pair: Pair, score: f32) -> f32 {
  return score;
}

// The derivative of custom_score by the score.
fn custom_slope(pair: Pair, score: f32) -> f32 {
  return 1.0;
}

fn custom_sees(pair: Pair) -> bool {
  return true;
}
