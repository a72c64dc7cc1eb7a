// Stands in for keep.wgsl where there is no keep-mask.
//
// Host       src/problem/attention/spec.rs

fn kept(tile: Tile, row: u32, key: u32) -> bool {
  return true;
}
