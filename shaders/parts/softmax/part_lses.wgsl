// The maximum and the sum of a row over one part of the keys, from its log-sum-exp; part_state.wgsl is its twin.
//
// Needs      score.wgsl
// Host       src/kernels/helpers/merge.rs

fn part_of(at: WorkItem, row: u32, part: u32) -> vec2<f32> {
  let bits = part_lses[part_lses_row(at.batch, at.head, row) + part * params.state_step];
  if bits == NEGATIVE_INFINITY { return vec2(FLOOR, 0.0); }
  return vec2(clamp(bitcast<f32>(bits), LOWEST, HIGHEST), 1.0);
}
