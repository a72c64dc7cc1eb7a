// Stands in for grid_bias.wgsl where places have none.
//
// Needs      block.wgsl
// Host       src/grid.rs

fn grid_bias(tile: Tile, query: Query, key: u32) -> f32 {
  return 0.0;
}
