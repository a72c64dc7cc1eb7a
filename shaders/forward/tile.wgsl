// out = softmax(scores) v and its log-sum-exp for a block of query rows, in one pass over the keys.
//
// One workgroup     BR query rows of one head of one batch item or sequence
// One invocation    RM rows x RN keys of the scores, RM rows x COLS vec4 of the output
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  q_tile, kv_tile, weight_tile, row_tile
//
// Needs      lanes.wgsl, columns.wgsl, tile_scores.wgsl, pairs.wgsl, tile_values.wgsl or no_values.wgsl, store_out, finish.wgsl
// Host       src/kernels/forward/tile.rs
// Reference  src/reference/tiled.rs: same tiles, same order
//
// Rows that do not exist take every barrier and load, and skip only the store. Tiles that no row sees are not visited.

var<workgroup> row_tile: array<f32, BR * TX>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(local_invocation_index) t: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  in_subgroup: InSubgroup,
) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item, t);
  if tile.row0 >= tile.rows { return; }
  let lane = lane_of(t);
  let keys = keys_of(tile);
  var highest: array<f32, RM>;
  var sum: array<f32, RM>;
  var o: array<vec4<f32>, RM * COLS>;
  var s: array<f32, RM * RN>;
  for (var r = 0u; r < RM; r++) { highest[r] = FLOOR; }

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    tile_scores(tile, lane, in_subgroup, at.k0, &s);
    settle(&s, pairs(tile, lane, keys, at, &s));
    for (var r = 0u; r < RM; r++) {
      var x = s[r * RN];
      for (var n = 1u; n < RN; n++) { x = max(x, s[r * RN + n]); }
      row_tile[(r * TY + lane.ty) * TX + lane.tx] = x;
    }
    workgroupBarrier();
    for (var r = 0u; r < RM; r++) {
      var top = highest[r];
      for (var i = 0u; i < TX; i++) { top = max(top, row_tile[(r * TY + lane.ty) * TX + i]); }
      if top > highest[r] {
        let factor = exp_of(highest[r] - top);
        highest[r] = top;
        sum[r] *= factor;
        for (var j = 0u; j < COLS; j++) { o[r * COLS + j] *= factor; }
      }
      for (var n = 0u; n < RN; n++) {
        s[r * RN + n] = exp_of(s[r * RN + n] - highest[r]);
        sum[r] += s[r * RN + n]; // of this invocation's keys
      }
    }
    tile_values(tile, lane, at.k0, &s, &o);
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  workgroupBarrier();
  for (var r = 0u; r < RM; r++) { row_tile[(r * TY + lane.ty) * TX + lane.tx] = sum[r]; }
  workgroupBarrier();
  for (var r = 0u; r < RM; r++) {
    var total = 0.0;
    for (var i = 0u; i < TX; i++) { total += row_tile[(r * TY + lane.ty) * TX + i]; }
    let query = query_of(tile, row_of(lane, r));
    if query.exists {
      let factor = factor_of(query, highest[r], total);
      for (var j = 0u; j < COLS; j++) {
        let d = j * TX + lane.tx;
        if d < V4 { store_out(out_row_of(tile, query), d, o[r * COLS + j] * factor); }
      }
      if lane.tx == 0 { store_row(tile, query, highest[r], total); }
    }
  }
}
