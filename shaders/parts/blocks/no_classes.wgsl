// Stands in for classes.wgsl where no mask lies in memory.
//
// Host       src/kernels/helpers/classify.rs

fn next_tile(tile: Tile, t: u32, k0: u32, end: u32) -> Next {
  return Next(k0, FULL);
}
