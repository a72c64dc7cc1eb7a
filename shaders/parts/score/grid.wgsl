// Which keys are near, where queries and keys are the cells of a grid.
//
// Needs      GRID WINDOWS (preamble: whether they are; windows, not neighbourhoods), block.wgsl
// Host       src/problem/attention/grid.rs
// Reference  Hassani et al. 2023, section 3; Liu et al. 2021, section 3.2

// First and one past the last that cell x of n sees in one direction; both grow with x.
fn reach_of(x: u32, n: u32) -> vec2<u32> {
  let w = params.grid_window;
  if WINDOWS {
    let end = (x + w - params.grid_shift) / w * w + params.grid_shift;
    return vec2(max(end, w) - w, min(end, n));
  }
  let start = min(max(x, w / 2) - w / 2, n - w);
  return vec2(start, start + w);
}

// The keys of a tile that lie in rows of the grid near its queries, no tile of which is full.
fn grid_keys(tile: Tile, keys: Keys) -> Keys {
  if !GRID { return keys; }
  let columns = params.grid_columns;
  let first = reach_of(tile.row0 / columns, params.grid_rows).x * columns;
  let end = reach_of((tile.rows - 1) / columns, params.grid_rows).y * columns;
  return Keys(max(keys.first, min(first, tile.k_end)), min(keys.end, max(end, tile.k_first)), tile.k_end + BC, 0);
}

fn grid_sees(row: u32, key: u32) -> bool {
  if !GRID { return true; }
  let columns = params.grid_columns;
  let rows = reach_of(row / columns, params.grid_rows);
  let across = reach_of(row % columns, columns);
  let y = key / columns;
  let x = key % columns;
  return y >= rows.x && y < rows.y && x >= across.x && x < across.y;
}
