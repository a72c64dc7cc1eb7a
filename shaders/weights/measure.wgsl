// Measures of each query row: entropy, largest weight, mean distance, and sums of its weights.
//
// One workgroup     BR query rows of one head of one batch item or sequence
// One invocation    RM rows x RN keys at a time
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  row_tile, and that of tile_scores.wgsl
//
// Needs      RANGES (preamble: how many), tile_scores.wgsl or row_scores.wgsl, pairs.wgsl, state.wgsl, workspace
// Host       src/kernels/weights/measure.rs
// Reference  src/reference/measures.rs
//
// Sums of all weights, of those where the query stands, on the key before and on the first key, and over ranges of keys.
// Adds to what is there: zeros, or what the same rows have of the keys before.

const FIXED = 7u;
const WIDTH = FIXED + RANGES;

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
  var s: array<f32, RM * RN>;
  var states: array<vec2<f32>, RM>;
  var found: array<f32, RM * WIDTH>;
  for (var r = 0u; r < RM; r++) {
    let query = query_of(tile, row_of(lane, r));
    if query.exists { states[r] = load_state(tile_for(tile, query).at, query.row, params.part); }
  }

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    tile_scores(tile, lane, in_subgroup, at.k0, &s);
    settle(&s, pairs(tile, lane, keys, at, &s));
    for (var r = 0u; r < RM; r++) {
      let stands = i32(query_of(tile, row_of(lane, r)).row - tile.q_start) + params.stand + tile.shift;
      let share = log2(max(states[r].y, 1.0e-37));
      for (var n = 0u; n < RN; n++) {
        let key = at.k0 + n * TX + lane.tx;
        let exponent = (s[r * RN + n] - states[r].x) * LOG2_E;
        let p = weight_of(s[r * RN + n], states[r]);
        found[r * WIDTH] -= p * (clamp(exponent, -200.0, 200.0) + share);
        found[r * WIDTH + 1] = max(found[r * WIDTH + 1], p);
        let ahead = stands - i32(key - tile.k_start);
        found[r * WIDTH + 2] += p * abs(f32(ahead));
        found[r * WIDTH + 3] += p;
        found[r * WIDTH + 4] += select(0.0, p, ahead == 0);
        found[r * WIDTH + 5] += select(0.0, p, ahead == 1);
        found[r * WIDTH + 6] += select(0.0, p, key == tile.k_start);
        for (var i = 0u; i < RANGES; i++) {
          let range = ranges_row(0, 0, 0) + 2 * i;
          let inside = key >= workspace[range] && key < workspace[range + 1];
          found[r * WIDTH + FIXED + i] += select(0.0, p, inside);
        }
      }
    }
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  for (var i = 0u; i < WIDTH; i++) {
    workgroupBarrier();
    for (var r = 0u; r < RM; r++) { row_tile[row_of(lane, r) * TX + lane.tx] = found[r * WIDTH + i]; }
    workgroupBarrier();
    for (var r = 0u; r < RM; r++) {
      let query = query_of(tile, row_of(lane, r));
      if query.exists && lane.tx == 0 {
        let to = row_measures_row(tile.at.batch, query.head, query.row) + i;
        var x = row_measures[to];
        for (var c = 0u; c < TX; c++) {
          let y = row_tile[row_of(lane, r) * TX + c];
          x = select(x + y * select(1.0, LN_2, i == 0), max(x, y), i == 1);
        }
        row_measures[to] = x;
      }
    }
  }
}
