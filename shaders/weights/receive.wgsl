// Of each key, the sum of the weights that it gets from a head's query rows.
//
// One workgroup     BC keys of one head of one batch item
// One invocation    RM rows x RN keys at a time
// Grid              work items: blocks of keys, heads, batch items
// Workgroup memory  column_tile, and that of tile_scores.wgsl
//
// Needs      tile_scores.wgsl or row_scores.wgsl, pairs.wgsl, state.wgsl
// Host       src/kernels/weights/receive.rs
// Reference  src/reference/measures.rs
//
// Goes along the rows, so that no two workgroups add to one key. Adds to what is there: zeros, or what the keys have of rows before.

var<workgroup> column_tile: array<f32, BC * TY>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(local_invocation_index) t: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  in_subgroup: InSubgroup,
) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let lane = lane_of(t);
  var at = work_item_of(item);
  let first = params.key0 + at.block * BC;
  let end = min(first + BC, params.key_end);
  var s: array<f32, RM * RN>;

  let blocks = blocks_of(params.row0, params.row_end);
  for (at.block = blocks.x; at.block < blocks.y; at.block++) {
    let tile = tile_at(at, t);
    if tile.row0 >= tile.rows { continue; }
    let keys = keys_of(tile);
    if keys.end <= first || keys.first >= end { continue; }
    // Tiles of keys count from where the item starts, which may lie inside this block.
    for (var k0 = tile_start(tile, max(first, tile.k_base)); k0 < min(end, keys.end); k0 += BC) {
      let next = next_tile(tile, t, k0, k0 + 1);
      if next.k0 != k0 { continue; }
      tile_scores(tile, lane, in_subgroup, k0, &s);
      settle(&s, pairs(tile, lane, keys, next, &s));
      for (var r = 0u; r < RM; r++) {
        let query = query_of(tile, row_of(lane, r));
        var state = vec2<f32>();
        if query.exists { state = load_state(tile_for(tile, query).at, query.row, params.part); }
        for (var n = 0u; n < RN; n++) { s[r * RN + n] = weight_of(s[r * RN + n], state); }
      }
      workgroupBarrier();
      for (var n = 0u; n < RN; n++) {
        var sum = 0.0;
        for (var r = 0u; r < RM; r++) { sum += s[r * RN + n]; }
        column_tile[(n * TX + lane.tx) * TY + lane.ty] = sum;
      }
      workgroupBarrier();
      for (var c = t; c < BC; c += THREADS) {
        let key = k0 + c;
        if key >= first && key < end {
          let to = received_row(at.batch, at.head, 0) + key;
          var sum = received[to];
          for (var i = 0u; i < TY; i++) { sum += column_tile[c * TY + i]; }
          received[to] = sum;
        }
      }
    }
  }
}
