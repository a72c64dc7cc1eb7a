// Products of few query rows, all in workgroup memory, with a tile of keys, one to an invocation.
//
// Workgroup memory  q_rows
// Needs             HEAD_DIM (preamble), lanes.wgsl with TX = BC = THREADS, block.wgsl, dot.wgsl or additive.wgsl,
//                   load_q, load_k
// Host              src/kernels/forward/decode.rs, src/kernels/weights/top.rs
//
// Keys come straight from memory: nothing reads them twice, so workgroup memory would only stand in the way. Those that do not
// exist stand as the last that does.

const D4 = (HEAD_DIM + 3) / 4;

var<workgroup> q_rows: array<vec4<f32>, BR * D4>;

// A barrier must follow.
fn hold_rows(tile: Tile, t: u32) {
  for (var i = t; i < BR * D4; i += THREADS) {
    let query = query_of(tile, i / D4);
    var x = vec4<f32>();
    if query.exists { x = load_q(q_row(tile.at.batch, query.head, query.row), i % D4); }
    q_rows[i] = x;
  }
}

fn key_scores(tile: Tile, lane: Lane, k0: u32, s: ptr<function, array<f32, BR>>) {
  let key = key_row(tile, k0 + lane.t);
  for (var r = 0u; r < BR; r++) { (*s)[r] = 0.0; }
  for (var d = 0u; d < D4; d++) {
    let kf = load_k(key, d);
    for (var r = 0u; r < BR; r++) {
      (*s)[r] = add_score(q_rows[r * D4 + d], kf, score_weight(tile, query_of(tile, r), d), (*s)[r]);
    }
  }
}
