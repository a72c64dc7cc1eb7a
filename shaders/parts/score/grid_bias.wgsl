// The bias of where a key lies from a query of a grid; no_grid_bias.wgsl stands in where there is none.
//
// Needs      pair.wgsl, grid_bias
// Host       src/problem/attention/grid.rs
// Reference  Hassani et al. 2023, equation 2; Liu et al. 2021, equation 4

// What is not near has none. A score changes as much as its bias does.
fn grid_bias(pair: Pair) -> f32 {
  let columns = params.grid_columns;
  let side = 2 * params.grid_window - 1;
  let y = pair.key / columns + params.grid_window - 1 - pair.query.row / columns;
  let x = pair.key % columns + params.grid_window - 1 - pair.query.row % columns;
  if y >= side || x >= side { return 0.0; }
  return bitcast<f32>(workspace[grid_bias_row(0, pair.query.tile.at.head, y) + x]);
}
