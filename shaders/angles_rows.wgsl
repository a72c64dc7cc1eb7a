// Every row of every batch item has cosines and sines of its own.
//
// Needs      params.wgsl
// Host       src/kernels/rotary.rs

fn angle_row(batch: u32, row: u32) -> u32 {
  return row_at(params.angles_at, batch, 0, row);
}
