// Products of a tile of query rows with a tile of keys, each row in the registers of one invocation; tile_scores.wgsl is its twin.
//
// Needs      HEAD_DIM SHARED_KEYS (preamble: keys that neighbours load for each other), block.wgsl, lanes.wgsl with TX 1,
//            dot.wgsl or additive.wgsl, row_alone.wgsl or row_shuffle.wgsl, load_q, load_k
// Host       src/kernels/weights/pass.rs
//
// Keys and rows that do not exist stand as the last that does.

const D4 = (HEAD_DIM + 3) / 4;

fn tile_scores(tile: Tile, lane: Lane, in_subgroup: InSubgroup, k0: u32, s: ptr<function, array<f32, RM * RN>>) {
  var rows: array<u32, RM>;
  var qf: array<vec4<f32>, RM>;
  var wf: array<vec4<f32>, RM>;
  for (var r = 0u; r < RM; r++) {
    let query = query_of(tile, row_of(lane, r));
    rows[r] = q_row(tile.at.batch, query.head, min(query.row, tile.rows - 1));
  }
  for (var i = 0u; i < RM * RN; i++) { (*s)[i] = 0.0; }
  for (var d = 0u; d < D4; d++) {
    for (var r = 0u; r < RM; r++) {
      qf[r] = load_q(rows[r], d);
      wf[r] = score_weight(tile, query_of(tile, row_of(lane, r)), d);
    }
    for (var n0 = 0u; n0 < RN; n0 += SHARED_KEYS) {
      let held = load_k(key_row(tile, k0 + n0 + held_by(in_subgroup)), d);
      for (var n = 0u; n < SHARED_KEYS; n++) {
        var kf = held_for(in_subgroup, held, n);
        if !SHUFFLED { kf = load_k(key_row(tile, k0 + n0 + n), d); }
        for (var r = 0u; r < RM; r++) {
          (*s)[r * RN + n0 + n] = add_score(qf[r], kf, wf[r], (*s)[r * RN + n0 + n]);
        }
      }
    }
  }
}
