// Stands in for alibi.wgsl where no distance counts.
//
// Host       src/spec.rs

fn slope_of(tile: Tile) -> f32 {
  return 0.0;
}

fn penalty(tile: Tile, slope: f32, row: u32, key: u32) -> f32 {
  return 0.0;
}
