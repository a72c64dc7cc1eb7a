// The tile of a work item where the keys of each batch item end at a length read here.
//
// Workgroup memory  shared_tile
// Needs             block.wgsl, workspace.wgsl
// Host              src/kernels/scoring.rs
//
// One invocation looks, and all get the same: browsers let no barrier depend on what was read from a writable buffer.

var<workgroup> shared_tile: Tile;

fn tile_of(item: u32, t: u32) -> Tile {
  if t == 0 {
    let at = place(item / params.splits);
    let rows = rows_of(at);
    let len = min(min(workspace[params.lens_at + at.batch], params.kv_len) + params.appended, params.kv_len);
    let k_end = clamp(len, params.key0, params.key_end);
    let shift = select(0, i32(len) - i32(params.q_len), params.from_end == 1);
    let tile = Tile(at, at.batch, rows.x, rows.y, 0, 0, params.key0, k_end, shift, params.key0, 0);
    shared_tile = split(tile, item);
  }
  return workgroupUniformLoad(&shared_tile);
}
