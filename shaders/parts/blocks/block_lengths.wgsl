// The tile of a block of rows where the keys of each batch item end at a length read here.
//
// Workgroup memory  shared_tile
// Needs             block.wgsl, workspace
// Host              src/kernels/scoring.rs
//
// One invocation looks, and all get the same: browsers let no barrier depend on what was read from a writable buffer.

var<workgroup> shared_tile: Tile;

fn tile_at(at: WorkItem, t: u32) -> Tile {
  if t == 0 {
    let rows = rows_of(at);
    // With room for all that is appended: where queries stand does not change if some of it is dropped.
    let len = min(workspace[kv_lens_row(0, 0, 0) + at.batch], params.kv_len) + params.appended;
    let k_end = clamp(min(len, params.kv_len), params.key0, params.key_end);
    let shift = select(0, i32(len) - i32(params.q_len), params.from_end == 1);
    shared_tile = Tile(at, at.batch, rows.x, rows.y, 0, 0, params.key0, k_end, shift, params.key0, 0);
  }
  return workgroupUniformLoad(&shared_tile);
}

// The blocks that may have some of these rows.
fn blocks_of(first: u32, end: u32) -> vec2<u32> {
  return vec2((first - params.row0) / BR, (end - params.row0 + BR - 1) / BR);
}
