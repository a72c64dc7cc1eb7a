// Of each pair, its score; weigh.wgsl stands here where weights are asked for.
//
// Needs      score.wgsl
// Host       src/kernels/weights/scores.rs

fn row_state(at: WorkItem, row: u32) -> vec2<f32> {
  return vec2<f32>();
}

fn pair_bits(score: f32, state: vec2<f32>) -> u32 {
  return bitcast<u32>(score);
}

fn hidden_bits() -> u32 {
  return NEGATIVE_INFINITY;
}
