// out = softmax(scores) v and its log-sum-exp for a block of query rows, in one pass over the keys.
//
// One workgroup     BR query rows of one head of one batch item or sequence
// One invocation    RM rows x RN keys of the scores, RM rows x COLS vec4 of the output
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  q_tile, kv_tile, weight_tile, row_tile
//
// Needs      PARTIAL (preamble: out is left as a sum, to be merged with those over other keys), tile_scores.wgsl,
//            tile_pairs.wgsl, tile_values.wgsl or no_values.wgsl, store_out, softmax_row.wgsl, lse and state or what stands
//            in for them
// Host       src/kernels/prefill.rs
// Reference  src/reference/tiled.rs: same tiles, same order
//
// Rows that do not exist take every barrier and load, and skip only the store. Tiles that no row sees are not visited.

var<workgroup> row_tile: array<f32, BR * TX>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
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

  var at = next_tile(tile, t, tile.k_first + (keys.first - tile.k_first) / BC * BC, keys.end);
  while at.k0 < keys.end {
    tile_scores(tile, lane, at.k0, &s);
    let hidden = tile_pairs(tile, lane, keys, at, &s);
    for (var i = 0u; i < RM * RN; i++) { s[i] = max(s[i], LOWEST) * LOG2_E; }
    if hidden != 0 {
      for (var i = 0u; i < RM * RN; i++) { s[i] = select(s[i], HIDDEN, ((hidden >> i) & 1) != 0); }
    }
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
        let factor = exp2(highest[r] - top);
        highest[r] = top;
        sum[r] *= factor;
        for (var j = 0u; j < COLS; j++) { o[r * COLS + j] *= factor; }
      }
      for (var n = 0u; n < RN; n++) {
        s[r * RN + n] = exp2(s[r * RN + n] - highest[r]);
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
    let row = tile_row(tile, lane, r);
    if row < tile.rows {
      let factor = row_factor(tile.at.head, highest[r], total);
      let out_row = row_at(params.out_at, tile.at.batch, tile.at.head, row);
      for (var j = 0u; j < COLS; j++) {
        let d = j * TX + lane.tx;
        if d < V4 { store_out(out_row, d, o[r * COLS + j] * select(factor, 1.0, PARTIAL)); }
      }
      if lane.tx == 0 {
        store_lse(tile.at, row, row_lse(highest[r], total));
        store_state(tile.at, row, vec2(highest[r], select(factor, total, PARTIAL)));
      }
    }
  }
}
