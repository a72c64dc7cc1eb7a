// Of each query row, the keys with the largest weights, the largest first; of equal ones the first key.
//
// One workgroup     BR query rows of one head of one batch item or sequence
// One invocation    one key of a tile and its scores with all rows; then one place in the list of a row
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  q_rows, score_tile, and two lists for each row
//
// Needs      TOP (preamble: places of a list, at most THREADS), HEAD_DIM (preamble), lanes.wgsl with TX = BC = THREADS, pairs.wgsl,
//            state.wgsl, load_q, load_k
// Host       src/kernels/top.rs
// Reference  src/reference/measures.rs
//
// A tile is looked at for a row only if one of its scores beats the last of the list. Then each of both, the list and the tile, counts
// those that stand before it: that is its place. Starts from the list that is there: nothing, or the best of the keys before.

const D4 = (HEAD_DIM + 3) / 4;
const NONE = 0xffffffffu;

@group(0) @binding(18) var<storage, read_write> top_weights: array<f32>;
@group(0) @binding(19) var<storage, read_write> top_keys: array<u32>;

var<workgroup> q_rows: array<vec4<f32>, BR * D4>;
var<workgroup> score_tile: array<f32, BR * THREADS>;
var<workgroup> scores: array<f32, BR * TOP>;
var<workgroup> keys_at: array<u32, BR * TOP>;
var<workgroup> new_scores: array<f32, TOP>;
var<workgroup> new_keys: array<u32, TOP>;
var<workgroup> beaten: array<u32, BR>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item, t);
  if tile.row0 >= tile.rows { return; }
  let lane = lane_of(t);
  let keys = keys_of(tile);
  var s: array<f32, BR>;
  for (var i = t; i < BR * D4; i += THREADS) {
    let query = query_of(tile, i / D4);
    var x = vec4<f32>();
    if query.exists { x = load_q(row_at(params.q_at, tile.at.batch, query.head, query.row), i % D4); }
    q_rows[i] = x;
  }
  for (var i = t; i < BR * TOP; i += THREADS) {
    let query = query_of(tile, i / TOP);
    var score = HIDDEN;
    var key = NONE;
    if query.exists {
      let state = load_state(tile_for(tile, query).at, query.row, params.part);
      let at = row_at(params.weights_at, tile.at.batch, query.head, query.row) + i % TOP;
      key = top_keys[at];
      // Of the keys before, the score that the weight came from.
      if key != NONE && state.y > 0.0 { score = log2(max(top_weights[at], 1.0e-37) / state.y) + state.x; }
    }
    scores[i] = score;
    keys_at[i] = key;
  }

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    workgroupBarrier();
    let key = row_at(params.k_at, tile.at.batch, tile.at.kv_head, min(at.k0 + t, tile.k_end - 1));
    for (var r = 0u; r < BR; r++) { s[r] = 0.0; }
    for (var d = 0u; d < D4; d++) {
      let kf = load_k(key, d);
      for (var r = 0u; r < BR; r++) { s[r] = add_dot(q_rows[r * D4 + d], kf, s[r]); }
    }
    settle(&s, pairs(tile, lane, keys, at, &s));
    for (var r = 0u; r < BR; r++) { score_tile[r * THREADS + t] = s[r]; }
    workgroupBarrier();
    if t < BR {
      var beats = 0u;
      for (var i = 0u; i < THREADS; i++) { beats |= u32(score_tile[t * THREADS + i] > scores[t * TOP + TOP - 1]); }
      beaten[t] = beats;
    }
    let all = workgroupUniformLoad(&beaten);
    for (var r = 0u; r < BR; r++) {
      if all[r] == 0 { continue; }
      let mine = s[r];
      var ahead = 0u;
      var listed = 0u;
      for (var i = 0u; i < TOP; i++) { ahead += u32(scores[r * TOP + i] >= mine); }
      for (var i = 0u; i < THREADS; i++) {
        let other = score_tile[r * THREADS + i];
        ahead += u32(other > mine || (other == mine && i < t));
        if t < TOP { listed += u32(other > scores[r * TOP + t]); }
      }
      if ahead < TOP && mine > FLOOR {
        new_scores[ahead] = mine;
        new_keys[ahead] = at.k0 + t;
      }
      if t < TOP && t + listed < TOP {
        new_scores[t + listed] = scores[r * TOP + t];
        new_keys[t + listed] = keys_at[r * TOP + t];
      }
      workgroupBarrier();
      if t < TOP {
        scores[r * TOP + t] = new_scores[t];
        keys_at[r * TOP + t] = new_keys[t];
      }
      workgroupBarrier();
    }
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  workgroupBarrier();
  for (var i = t; i < BR * TOP; i += THREADS) {
    let query = query_of(tile, i / TOP);
    if query.exists {
      let state = load_state(tile_for(tile, query).at, query.row, params.part);
      let to = row_at(params.weights_at, tile.at.batch, query.head, query.row) + i % TOP;
      top_keys[to] = keys_at[i];
      top_weights[to] = select(0.0, exp2(scores[i] - state.x) * state.y, keys_at[i] != NONE);
    }
  }
}
