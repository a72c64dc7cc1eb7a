// The tile of a work item where every batch item has all rows and keys.
//
// Needs      block.wgsl
// Host       src/kernels/scoring.rs

fn tile_of(item: u32, t: u32) -> Tile {
  let at = place(item / params.splits);
  let rows = rows_of(at);
  let tile = Tile(at, at.batch, rows.x, rows.y, 0, 0, params.key0, params.key_end, 0, params.key0, 0);
  return split(tile, item);
}
