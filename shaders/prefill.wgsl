// out = softmax(scale * q kᵀ) v and its log-sum-exp for a block of query rows, in one pass over the keys.
//
// One workgroup     BR query rows of one head of one batch item
// One invocation    RM rows x RN keys of the scores, RM rows x COLS vec4 of the output
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  q_tile, kv_tile, weight_tile, row_tile
//
// Needs      tile.wgsl, tile_scores.wgsl, tile_values.wgsl, softmax_row.wgsl, lse.wgsl or no_lse.wgsl
// Host       src/kernels/prefill.rs
// Reference  src/reference/tiled.rs: same tiles, same order
//
// Rows past q_len take every barrier and load, and skip only the store. Tiles that no row sees are not visited.

var<workgroup> row_tile: array<f32, BR * TX>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item);
  let lane = lane_of(t);
  let end = end_key(tile.rows - 1);
  let full_first = first_key(tile.rows - 1); // keys full_first..full_end are seen by every row
  let full_end = end_key(tile.row0);
  var highest: array<f32, RM>;
  var sum: array<f32, RM>;
  var o: array<vec4<f32>, RM * COLS>;
  var s: array<f32, RM * RN>;
  for (var r = 0u; r < RM; r++) { highest[r] = FLOOR; }

  for (var k0 = first_key(tile.row0) / BC * BC; k0 < end; k0 += BC) {
    tile_scores(tile, lane, k0, &s);
    for (var i = 0u; i < RM * RN; i++) { s[i] *= LOG2_E; }
    if k0 < full_first || k0 + BC > full_end {
      for (var r = 0u; r < RM; r++) {
        let row_first = first_key(tile_row(tile, lane, r));
        let row_end = end_key(tile_row(tile, lane, r));
        for (var n = 0u; n < RN; n++) {
          let key = k0 + n * TX + lane.tx;
          s[r * RN + n] = select(HIDDEN, s[r * RN + n], key >= row_first && key < row_end);
        }
      }
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
    tile_values(tile, lane, k0, &s, &o);
  }

  workgroupBarrier();
  for (var r = 0u; r < RM; r++) { row_tile[(r * TY + lane.ty) * TX + lane.tx] = sum[r]; }
  workgroupBarrier();
  for (var r = 0u; r < RM; r++) {
    var total = 0.0;
    for (var i = 0u; i < TX; i++) { total += row_tile[(r * TY + lane.ty) * TX + i]; }
    let row = tile_row(tile, lane, r);
    if row < tile.rows {
      let out_row = row_at(params.out_at, tile.at.batch, tile.at.head, row);
      let factor = row_factor(total);
      for (var j = 0u; j < COLS; j++) {
        let d = j * TX + lane.tx;
        if d < V4 { store_out(out_row, d, o[r * COLS + j] * factor); }
      }
      if lane.tx == 0 { store_lse(tile.at, row, row_lse(highest[r], total)); }
    }
  }
}
