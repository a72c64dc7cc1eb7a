// Scores or weights of every pair of a block of query rows and the keys.
//
// One workgroup     BR query rows of one head of one batch item or sequence
// One invocation    RM rows x RN keys at a time
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  q_tile, kv_tile
//
// Needs      STAGE (preamble: 0 scaled, 1 capped, 2 masked), tile_scores.wgsl, pairs.wgsl, weights, raw.wgsl or weigh.wgsl
// Host       src/kernels/weights/scores.rs
// Reference  src/reference/mod.rs
//
// Keys that do not exist are hidden at every stage, and not read.

fn store_pair(tile: Tile, query: Query, key: u32, bits: u32) {
  if query.exists { weights[weights_row(tile.at.batch, query.head, query.row) + key] = bits; }
}

// Hides the keys first..end from the rows of an invocation.
fn hide(tile: Tile, lane: Lane, first: u32, end: u32) {
  for (var r = 0u; r < RM; r++) {
    for (var key = first + lane.tx; key < end; key += TX) {
      store_pair(tile, query_of(tile, row_of(lane, r)), key, hidden_bits());
    }
  }
}

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
  for (var r = 0u; r < RM; r++) {
    let query = query_of(tile, row_of(lane, r));
    if query.exists { states[r] = row_state(tile_for(tile, query).at, query.row); }
  }

  hide(tile, lane, params.key0, tile.k_first);
  hide(tile, lane, tile.k_end, params.key_end);
  var at = Next(tile.k_first, FULL);
  if STAGE == 2 { at = next_tile(tile, t, tile.k_first, tile.k_end); }
  for (var k0 = tile.k_first; k0 < tile.k_end; k0 += BC) {
    if at.k0 < k0 {
      at.k0 = k0;
      if STAGE == 2 { at = next_tile(tile, t, k0, tile.k_end); }
    }
    let seen = at.k0 == k0 && k0 < keys.end && k0 + BC > keys.first;
    if STAGE == 2 && !seen {
      hide(tile, lane, k0, min(k0 + BC, tile.k_end));
      continue;
    }
    tile_scores(tile, lane, in_subgroup, k0, &s);
    var hidden = 0u;
    if STAGE == 2 {
      hidden = pairs(tile, lane, keys, at, &s);
    } else {
      scores_of(tile, lane, k0, &s); // of parts that end at this stage
    }
    for (var r = 0u; r < RM; r++) {
      for (var n = 0u; n < RN; n++) {
        let i = r * RN + n;
        let key = k0 + n * TX + lane.tx;
        let bits = select(pair_bits(s[i], states[r]), hidden_bits(), ((hidden >> i) & 1) != 0);
        if key < tile.k_end { store_pair(tile, query_of(tile, row_of(lane, r)), key, bits); }
      }
    }
  }
}
