// The bias of where a key lies from a query of a grid; no_grid_bias.wgsl stands in where there is none.
//
// Needs      block.wgsl, workspace.wgsl
// Host       src/grid.rs
// Reference  Hassani et al. 2023, equation 2; Liu et al. 2021, equation 4

// What is not near has none.
fn grid_bias(tile: Tile, query: Query, key: u32) -> f32 {
  let columns = params.grid_columns;
  let side = 2 * params.grid_window - 1;
  let y = key / columns + params.grid_window - 1 - query.row / columns;
  let x = key % columns + params.grid_window - 1 - query.row % columns;
  if y >= side || x >= side { return 0.0; }
  return bitcast<f32>(workspace[params.grid_bias_at + (head_of(tile, query) * side + y) * side + x]);
}
