// The tile of a work item where every batch item has all rows and keys.
//
// Needs      tile.wgsl
// Host       src/kernels/tile.rs

fn tile_of(item: u32, t: u32) -> Tile {
  let at = place(item);
  let row0 = params.row0 + at.block * BR;
  return Tile(at, at.batch, row0, min(row0 + BR, params.row_end), 0, 0, params.key0, params.key_end, 0);
}
