// Stands in for grid_bias.wgsl where cells have none.
//
// Needs      pair.wgsl
// Host       src/problem/attention/grid.rs

fn grid_bias(pair: Pair) -> f32 {
  return 0.0;
}
