// A row stays where it is; to_cache.wgsl is its twin.
//
// Host       src/kernels/helpers/rotary.rs

fn row_to(batch: u32, row: u32) -> u32 {
  return row;
}
