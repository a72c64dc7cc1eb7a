// Keeps two numbers of a row in the workspace: its maximum, and its sum or the factor of its weights.
//
// Needs      workspace
// Host       src/program/attention.rs

fn state_at(at: WorkItem, row: u32, part: u32) -> u32 {
  return states_row(at.batch, at.head, row) + part * params.state_step;
}

fn store_state(at: WorkItem, row: u32, part: u32, state: vec2<f32>) {
  let i = state_at(at, row, part);
  workspace[i] = bitcast<u32>(state.x);
  workspace[i + 1] = bitcast<u32>(state.y);
}

fn load_state(at: WorkItem, row: u32, part: u32) -> vec2<f32> {
  let i = state_at(at, row, part);
  return vec2(bitcast<f32>(workspace[i]), bitcast<f32>(workspace[i + 1]));
}

// The weight of a pair, from the maximum and the factor of its row: 0 from a row that does not exist or saw no key, whatever the score.
fn weight_of(score: f32, state: vec2<f32>) -> f32 {
  return select(0.0, exp_of(min(score - state.x, 80.0)) * state.y, state.y > 0.0);
}
