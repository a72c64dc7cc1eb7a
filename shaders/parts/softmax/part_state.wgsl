// The maximum and the sum of a row over one part of the keys, from the workspace; part_lses.wgsl is its twin.
//
// Needs      state.wgsl
// Host       src/kernels/helpers/merge.rs

fn part_of(at: WorkItem, row: u32, part: u32) -> vec2<f32> {
  return load_state(at, row, part);
}
