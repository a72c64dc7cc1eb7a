// Of each query row, the keys with the largest weights, the largest first; of equal ones the first key.
//
// One workgroup     BR query rows of one head of one batch item or sequence
// One invocation    one key of a tile and its scores with all rows; the first BR then the list of one row each
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  score_tile, a list for each row, and that of few_rows.wgsl
//
// Needs      TOP (preamble: places of a list), few_rows.wgsl, pairs.wgsl, state.wgsl
// Host       src/kernels/weights/top.rs
// Reference  src/reference/measures.rs
//
// Few scores of a tile beat the last of a list: those are put in their places one after the other, which costs less than a sort.
// Starts from the list that is there: nothing, or the best of the keys before.

const NONE = 0xffffffffu;

var<workgroup> score_tile: array<f32, BR * THREADS>;
var<workgroup> scores: array<f32, BR * TOP>;
var<workgroup> keys_at: array<u32, BR * TOP>;

// Puts the scores of a tile that beat the last of a row's list where they belong: after those that are not lower.
fn list_tile(r: u32, k0: u32) {
  for (var i = 0u; i < THREADS; i++) {
    let score = score_tile[r * THREADS + i];
    if score > scores[r * TOP + TOP - 1] {
      var at = r * TOP + TOP - 1;
      while at > r * TOP && scores[at - 1] < score {
        scores[at] = scores[at - 1];
        keys_at[at] = keys_at[at - 1];
        at--;
      }
      scores[at] = score;
      keys_at[at] = k0 + i;
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item, t);
  if tile.row0 >= tile.rows { return; }
  let lane = lane_of(t);
  let keys = keys_of(tile);
  var s: array<f32, BR>;
  hold_rows(tile, t);
  for (var i = t; i < BR * TOP; i += THREADS) {
    let query = query_of(tile, i / TOP);
    var score = HIDDEN;
    var key = NONE;
    if query.exists {
      let state = load_state(tile_for(tile, query).at, query.row, params.part);
      let at = top_weights_row(tile.at.batch, query.head, query.row) + i % TOP;
      key = top_keys[top_keys_row(tile.at.batch, query.head, query.row) + i % TOP];
      // Of the keys before, the score that the weight came from.
      if key != NONE && state.y > 0.0 { score = log(max(top_weights[at], 1.0e-37) / state.y) + state.x; }
    }
    scores[i] = score;
    keys_at[i] = key;
  }

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    workgroupBarrier();
    key_scores(tile, lane, at.k0, &s);
    settle(&s, pairs(tile, lane, keys, at, &s));
    for (var r = 0u; r < BR; r++) { score_tile[r * THREADS + t] = s[r]; }
    workgroupBarrier();
    if t < BR { list_tile(t, at.k0); }
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  workgroupBarrier();
  for (var i = t; i < BR * TOP; i += THREADS) {
    let query = query_of(tile, i / TOP);
    if query.exists {
      let state = load_state(tile_for(tile, query).at, query.row, params.part);
      let to = top_weights_row(tile.at.batch, query.head, query.row) + i % TOP;
      top_keys[top_keys_row(tile.at.batch, query.head, query.row) + i % TOP] = keys_at[i];
      top_weights[to] = select(0.0, weight_of(scores[i], state), keys_at[i] != NONE);
    }
  }
}
