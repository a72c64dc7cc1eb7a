// The maximum and the sum of a row over one part of the keys, from its log-sum-exp; part_state.wgsl is its twin.
//
// Needs      score.wgsl
// Host       src/kernels/merge.rs

@group(0) @binding(16) var<storage, read> part_lses: array<u32>;

fn part_of(at: Place, row: u32, part: u32) -> vec2<f32> {
  let bits = part_lses[row_at(params.states_at, at.batch, at.head, row) + part * params.state_step];
  if bits == NEGATIVE_INFINITY { return vec2(FLOOR, 0.0); }
  return vec2(bitcast<f32>(bits) * LOG2_E, 1.0);
}
