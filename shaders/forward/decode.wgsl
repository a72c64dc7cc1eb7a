// out = softmax(scores) v and its log-sum-exp for few query rows and many keys: memory is read once, and in long runs.
//
// One workgroup     BR query rows of one key head of one batch item, of all heads that share the keys
// One invocation    one key of a tile and its scores with all rows; then COLS vec4 of all output rows over every SHARES-th key
// Grid              work items: splits of the keys, blocks of rows, heads, batch items
// Workgroup memory  weight_tile, row_tile, shares, and that of few_rows.wgsl
//
// Needs      VALUE_DIM COLUMNS (preamble: invocations that share a value row), few_rows.wgsl, pairs.wgsl, load_v, store_out,
//            finish.wgsl
// Host       src/kernels/forward/decode.rs
// Reference  src/reference/tiled.rs: tiles of THREADS keys; src/reference/merge.rs
//
// Values come straight from memory, as keys do.

const V4 = (VALUE_DIM + 3) / 4;
const COLS = (V4 + COLUMNS - 1) / COLUMNS;
const SHARES = THREADS / COLUMNS;
const HELPERS = THREADS / BR; // invocations that look for the maximum of one row

var<workgroup> weight_tile: array<f32, BR * THREADS>;
var<workgroup> row_tile: array<f32, THREADS>;
var<workgroup> shares: array<vec4<f32>, THREADS>;

// Sums what each invocation has of a row, the same for all.
fn total_of(t: u32, x: f32) -> f32 {
  workgroupBarrier();
  row_tile[t] = x;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < THREADS; i++) { total += row_tile[i]; }
  return total;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item, t);
  if tile.row0 >= tile.rows { return; }
  let lane = lane_of(t);
  let keys = keys_of(tile);
  let column = t % COLUMNS;
  var highest: array<f32, BR>;
  var sum: array<f32, BR>;
  var s: array<f32, BR>;
  var o: array<vec4<f32>, BR * COLS>;
  for (var r = 0u; r < BR; r++) { highest[r] = FLOOR; }
  hold_rows(tile, t);

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    workgroupBarrier();
    key_scores(tile, lane, at.k0, &s);
    settle(&s, pairs(tile, lane, keys, at, &s));
    for (var r = 0u; r < BR; r++) { weight_tile[r * THREADS + t] = s[r]; }
    workgroupBarrier();
    var top = HIDDEN;
    for (var i = t % HELPERS; i < THREADS; i += HELPERS) { top = max(top, weight_tile[t / HELPERS * THREADS + i]); }
    row_tile[t] = top;
    workgroupBarrier();
    for (var r = 0u; r < BR; r++) {
      top = highest[r];
      for (var i = 0u; i < HELPERS; i++) { top = max(top, row_tile[r * HELPERS + i]); }
      let factor = exp_of(highest[r] - top);
      highest[r] = top;
      s[r] = exp_of(s[r] - top);
      sum[r] = sum[r] * factor + s[r]; // of this invocation's keys
      for (var j = 0u; j < COLS; j++) { o[r * COLS + j] *= factor; }
      weight_tile[r * THREADS + t] = s[r];
    }
    workgroupBarrier();
    let end = min(THREADS, tile.k_end - at.k0);
    for (var n = t / COLUMNS; n < end; n += SHARES) {
      let value = v_row(tile.at.batch, tile.at.kv_head, at.k0 + n);
      for (var j = 0u; j < COLS; j++) {
        let d = j * COLUMNS + column;
        if d < V4 {
          let vf = load_v(value, d);
          for (var r = 0u; r < BR; r++) { o[r * COLS + j] += weight_tile[r * THREADS + n] * vf; }
        }
      }
    }
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  for (var r = 0u; r < BR; r++) {
    let total = total_of(t, sum[r]);
    let query = query_of(tile, r);
    let factor = factor_of(query, highest[r], total);
    for (var j = 0u; j < COLS; j++) {
      workgroupBarrier();
      shares[t] = o[r * COLS + j];
      workgroupBarrier();
      let d = j * COLUMNS + column;
      if t < COLUMNS && d < V4 && query.exists {
        var x = vec4<f32>();
        for (var i = 0u; i < SHARES; i++) { x += shares[i * COLUMNS + t]; }
        store_out(out_row_of(tile, query), d, x * factor);
      }
    }
    if t == 0 && query.exists { store_row(tile, query, highest[r], total); }
  }
}
