// Keeps two numbers of a row in the workspace: its maximum, and its sum or the factor of its weights.
//
// Needs      workspace.wgsl
// Host       src/kernels/attention.rs

fn state_at(at: Place, row: u32, part: u32) -> u32 {
  return row_at(params.states_at, at.batch, at.head, row) + part * params.state_step;
}

fn store_state(at: Place, row: u32, part: u32, state: vec2<f32>) {
  let i = state_at(at, row, part);
  workspace[i] = bitcast<u32>(state.x);
  workspace[i + 1] = bitcast<u32>(state.y);
}

fn load_state(at: Place, row: u32, part: u32) -> vec2<f32> {
  let i = state_at(at, row, part);
  return vec2(bitcast<f32>(workspace[i]), bitcast<f32>(workspace[i + 1]));
}
