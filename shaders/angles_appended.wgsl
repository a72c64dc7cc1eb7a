// A row turns by the cosines and sines of the place that an append gives it.
//
// Needs      params.wgsl, kv_lens.wgsl
// Host       src/kernels/rotary.rs

fn angle_row(batch: u32, row: u32) -> u32 {
  let last = params.positions - 1;
  return row_at(params.angles_at, 0, 0, min(min(kv_lens[batch], last) + row, last));
}
