// Of each pair, its weight, from the maximum and the factor that a forward kernel or merge.wgsl left of the row.
//
// Needs      score.wgsl, state.wgsl
// Host       src/kernels/weights/scores.rs

fn row_state(at: WorkItem, row: u32) -> vec2<f32> {
  return load_state(at, row, params.part);
}

fn pair_bits(score: f32, state: vec2<f32>) -> u32 {
  return bitcast<u32>(weight_of(clamp(score, LOWEST, HIGHEST), state));
}

fn hidden_bits() -> u32 {
  return 0;
}
