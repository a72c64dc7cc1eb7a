// The tile of a block of rows where every batch item has all rows and keys.
//
// Needs      block.wgsl
// Host       src/kernels/scoring.rs

fn tile_at(at: WorkItem, t: u32) -> Tile {
  let rows = rows_of(at);
  return Tile(at, at.batch, rows.x, rows.y, 0, 0, params.key0, params.key_end, 0, params.key0, 0);
}

// The blocks that may have some of these rows.
fn blocks_of(first: u32, end: u32) -> vec2<u32> {
  return vec2((first - params.row0) / BR, (end - params.row0 + BR - 1) / BR);
}
