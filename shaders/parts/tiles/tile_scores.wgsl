// Products of a tile of query rows with a tile of keys, the head dimension in slices of DS vec4.
//
// Workgroup memory  q_tile, kv_tile
// Needs             HEAD_DIM DS KV_TILE (preamble), block.wgsl, lanes.wgsl, dot.wgsl or additive.wgsl, row_alone.wgsl,
//                   load_q, load_k
// Host              src/kernels/forward/register_tile.rs
//
// Starts with a barrier, so the caller may have read kv_tile just before. Rows and keys that do not exist count as zeros.

const D4 = (HEAD_DIM + 3) / 4;
const PAD = DS + 1; // an odd number of vec4 per row keeps neighbours in different banks

var<workgroup> q_tile: array<vec4<f32>, BR * PAD>;
var<workgroup> kv_tile: array<vec4<f32>, KV_TILE>; // a slice of the keys, then a chunk of the values

fn tile_scores(tile: Tile, lane: Lane, in_subgroup: InSubgroup, k0: u32, s: ptr<function, array<f32, RM * RN>>) {
  var kf: array<vec4<f32>, RN>;
  for (var i = 0u; i < RM * RN; i++) { (*s)[i] = 0.0; }
  for (var d0 = 0u; d0 < params.head_vec4s; d0 += DS) {
    workgroupBarrier();
    for (var i = lane.t; i < BR * DS; i += THREADS) {
      let query = query_of(tile, i / DS);
      let d = d0 + i % DS;
      var x = vec4<f32>();
      if query.exists && d < D4 { x = load_q(q_row(tile.at.batch, query.head, query.row), d); }
      q_tile[i / DS * PAD + i % DS] = x;
    }
    for (var i = lane.t; i < BC * DS; i += THREADS) {
      let key = k0 + i / DS;
      let d = d0 + i % DS;
      var x = vec4<f32>();
      if key < tile.k_end && d < D4 { x = load_k(k_row(tile.at.batch, tile.at.kv_head, key), d); }
      kv_tile[i / DS * PAD + i % DS] = x;
    }
    workgroupBarrier();
    for (var d = 0u; d < params.slice_vec4s; d++) {
      for (var n = 0u; n < RN; n++) { kf[n] = kv_tile[(n * TX + lane.tx) * PAD + d]; }
      for (var r = 0u; r < RM; r++) {
        let qf = q_tile[(r * TY + lane.ty) * PAD + d];
        let wf = score_weight(tile, query_of(tile, row_of(lane, r)), d0 + d);
        for (var n = 0u; n < RN; n++) { (*s)[r * RN + n] = add_score(qf, kf[n], wf, (*s)[r * RN + n]); }
      }
    }
  }
}
