// out = softmax(scores) v and its log-sum-exp, each invocation having whole query rows to itself.
//
// One workgroup     BR query rows of one key head of one batch item, or of one head of a sequence
// One invocation    RM rows, RN keys at a time
// Grid              work items: splits of the keys, blocks of rows, heads, batch items
// Workgroup memory  none
//
// Needs      HEAD_DIM (preamble), lanes.wgsl with TX 1, columns.wgsl, dot.wgsl or additive.wgsl, pairs.wgsl,
//            row_alone.wgsl or row_shuffle.wgsl, load_q, load_k, load_v, store_out, finish.wgsl
// Host       src/kernels/forward/row.rs
// Reference  src/reference/tiled.rs: tiles of RN keys
//
// No barrier, and no memory but registers: what CPUs do best, whose drivers unroll all loops but the outer two. Keys that do
// not exist stand as the last that does, and are hidden.

const D4 = (HEAD_DIM + 3) / 4;

// Where the value of a key lies; that of one that does not exist stands as the last that does.
fn value_row(tile: Tile, key: u32) -> u32 {
  return v_row(tile.at.batch, tile.at.kv_head, min(key, tile.k_end - 1));
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
  var qf: array<vec4<f32>, RM * D4>;
  var wf: array<vec4<f32>, RM>;
  var o: array<vec4<f32>, RM * V4>;
  var highest: array<f32, RM>;
  var sum: array<f32, RM>;
  var s: array<f32, RM * RN>;
  for (var r = 0u; r < RM; r++) {
    let query = query_of(tile, row_of(lane, r));
    highest[r] = FLOOR;
    if query.exists {
      let row = q_row(tile.at.batch, query.head, query.row);
      for (var d = 0u; d < D4; d++) { qf[r * D4 + d] = load_q(row, d); }
    }
  }

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    let end = min(at.k0 + BC, keys.end);
    for (var k0 = at.k0 + (max(at.k0, keys.first) - at.k0) / RN * RN; k0 < end; k0 += RN) {
      let mine = k0 + held_by(in_subgroup);
      for (var i = 0u; i < RM * RN; i++) { s[i] = 0.0; }
      for (var d = 0u; d < D4; d++) {
        for (var r = 0u; r < RM; r++) { wf[r] = score_weight(tile, query_of(tile, row_of(lane, r)), d); }
        let held = load_k(key_row(tile, mine), d);
        for (var n = 0u; n < RN; n++) {
          var kf = held_for(in_subgroup, held, n);
          if !SHUFFLED { kf = load_k(key_row(tile, k0 + n), d); }
          for (var r = 0u; r < RM; r++) { s[r * RN + n] = add_score(qf[r * D4 + d], kf, wf[r], s[r * RN + n]); }
        }
      }
      settle(&s, pairs(tile, lane, keys, Next(k0, at.kind), &s));
      for (var r = 0u; r < RM; r++) {
        var top = s[r * RN];
        for (var n = 1u; n < RN; n++) { top = max(top, s[r * RN + n]); }
        if top > highest[r] {
          let factor = exp_of(highest[r] - top);
          highest[r] = top;
          sum[r] *= factor;
          for (var d = 0u; d < V4; d++) { o[r * V4 + d] *= factor; }
        }
        for (var n = 0u; n < RN; n++) {
          s[r * RN + n] = exp_of(s[r * RN + n] - highest[r]);
          sum[r] += s[r * RN + n];
        }
      }
      for (var d = 0u; d < V4; d++) {
        let held = load_v(value_row(tile, mine), d);
        for (var n = 0u; n < RN; n++) {
          var vf = held_for(in_subgroup, held, n);
          if !SHUFFLED { vf = load_v(value_row(tile, k0 + n), d); }
          for (var r = 0u; r < RM; r++) { o[r * V4 + d] = fma(vec4(s[r * RN + n]), vf, o[r * V4 + d]); }
        }
      }
    }
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  for (var r = 0u; r < RM; r++) {
    let query = query_of(tile, row_of(lane, r));
    if query.exists {
      let factor = factor_of(query, highest[r], sum[r]);
      for (var d = 0u; d < V4; d++) { store_out(out_row_of(tile, query), d, o[r * V4 + d] * factor); }
      store_row(tile, query, highest[r], sum[r]);
    }
  }
}
