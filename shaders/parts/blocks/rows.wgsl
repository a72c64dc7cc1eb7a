// The query rows of a block, all of one head; row_groups.wgsl is its twin.
//
// Needs      block.wgsl, heads.wgsl
// Host       src/kernels/scoring.rs

// The first query row of a block, and one past its last.
fn rows_of(at: WorkItem) -> vec2<u32> {
  let row0 = params.row0 + at.block * BR;
  return vec2(row0, min(row0 + BR, params.row_end));
}

// Row x of a tile.
fn query_of(tile: Tile, x: u32) -> Query {
  let row = tile.row0 + x;
  return Query(tile.at.head, row, row < tile.rows);
}
