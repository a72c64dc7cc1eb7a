// A row turns by the cosines and sines of its position, which lies in memory.
//
// Needs      params.wgsl
// Host       src/kernels/helpers/rotary.rs

fn angles_of(batch: u32, row: u32) -> vec2<u32> {
  let position = positions[positions_row(0, 0, batch) + row + u32(params.stand)];
  return vec2(0, min(position, params.positions - 1));
}
