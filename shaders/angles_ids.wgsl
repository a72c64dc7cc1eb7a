// A row turns by the cosines and sines of its position, which lies in memory.
//
// Needs      params.wgsl
// Host       src/kernels/rotary.rs

@group(0) @binding(12) var<storage, read> positions: array<u32>;

fn angle_row(batch: u32, row: u32) -> u32 {
  let position = positions[batch * params.q_len + row];
  return row_at(params.angles_at, 0, 0, min(position, params.positions - 1));
}
