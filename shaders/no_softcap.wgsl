// Stands in for softcap.wgsl where scores have no soft limit.
//
// Host       src/spec.rs

fn capped(score: f32) -> f32 {
  return score;
}
