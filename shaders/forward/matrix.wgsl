// out = softmax(scores) v and its log-sum-exp by cooperative matrices: 16-bit floats in, 32-bit sums.
//
// One workgroup     BR query rows of one key head of one batch item, or of one head of a sequence: GROUPS subgroups with RT * T
//                   rows each
// One invocation    its share of those matrices; of the scores, RM rows x RN keys
// Grid              work items: splits of the keys, blocks of rows, heads, batch items
// Workgroup memory  score_tile, weight_tile, k_tile, v_tile, factors, grown
//
// Needs      T RT GROUPS SIZE HEAD_DIM VALUE_DIM (preamble: size of a matrix, matrices of rows, subgroups and their size),
//            MatrixA MatrixB MatrixC (preamble), lanes.wgsl with TX = 8, pairs.wgsl, load_q, load_k, load_v, store_out, finish.wgsl
// Host       src/kernels/forward/matrix.rs
//
// Scores and weights go through workgroup memory, where they can be seen; the output stays in matrices. It is rescaled only when
// a maximum grows by more than LAZY: nothing can be multiplied inside a matrix, and on the way through memory it costs as much as
// the products. Until then weights are above 1, which 16-bit floats round: the sum of the rounded weights divides the output.
//
// All subgroups meet the same barriers: what loops and the rescaling depend on is uniform over the workgroup.

const BC4 = BC / 4;
const D4 = (HEAD_DIM + 3) / 4;
const V4 = (VALUE_DIM + 3) / 4;
const DT = (HEAD_DIM + T - 1) / T;  // matrices along the head
const VT = (VALUE_DIM + T - 1) / T; // and along a value
const CT = BC / T;
const ROWS = RT * T;                // rows of a subgroup
const SS = BC + 4;                  // strides of the tiles, which keep neighbours in different banks
const PS = BC + 8;
const KS = DT * T + 8;
const VS = BC + 8;
const LAZY = 5.5;
const INVOCATIONS = GROUPS * SIZE;

var<workgroup> score_tile: array<f32, GROUPS * ROWS * SS>;
var<workgroup> weight_tile: array<f16, GROUPS * ROWS * PS>;
var<workgroup> k_tile: array<f16, BC * KS>;
var<workgroup> v_tile: array<f16, VT * T * VS>; // a column of values after the other: matrices load it without gathering
var<workgroup> factors: array<f32, GROUPS * ROWS>;
var<workgroup> grown: array<u32, GROUPS>;

// Fills k_tile and v_tile. Keys that do not exist stand as the last that does, and their values as zeros.
fn stage(tile: Tile, t: u32, k0: u32) {
  for (var i = t; i < BC * DT * T / 4; i += INVOCATIONS) {
    let n = i / (DT * T / 4);
    let d = i % (DT * T / 4);
    var x = vec4<f32>();
    if d < D4 { x = load_k(key_row(tile, k0 + n), d); }
    for (var e = 0u; e < 4; e++) { k_tile[n * KS + 4 * d + e] = f16(x[e]); }
  }
  for (var i = t; i < BC * VT * T / 4; i += INVOCATIONS) {
    let n = i / (VT * T / 4);
    let d = i % (VT * T / 4);
    var x = vec4<f32>();
    if d < V4 && k0 + n < tile.k_end { x = load_v(v_row(tile.at.batch, tile.at.kv_head, k0 + n), d); }
    for (var e = 0u; e < 4; e++) { v_tile[(4 * d + e) * VS + n] = f16(x[e]); }
  }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(local_invocation_index) t: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) at_lane: u32,
) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item, t);
  if tile.row0 >= tile.rows { return; }
  let row0 = subgroup * ROWS;
  let lane = Lane(t, at_lane % TX, row0 + at_lane / TX);
  let keys = keys_of(tile);
  let scores_at = row0 * SS;
  let weights_at = row0 * PS;

  // The queries, through the tile of the weights.
  var q_matrix: array<MatrixA, RT * DT>;
  for (var c = 0u; c < DT; c += CT) {
    for (var i = at_lane; i < ROWS * BC4; i += SIZE) {
      let query = query_of(tile, row0 + i / BC4);
      let d = c * T / 4 + i % BC4;
      var x = vec4<f32>();
      if query.exists && d < D4 { x = load_q(q_row(tile.at.batch, query.head, query.row), d); }
      for (var e = 0u; e < 4; e++) { weight_tile[weights_at + i / BC4 * PS + i % BC4 * 4 + e] = f16(x[e]); }
    }
    subgroupBarrier();
    for (var r = 0u; r < RT; r++) {
      for (var n = 0u; n < CT; n++) {
        if c + n < DT { q_matrix[r * DT + c + n] = coopLoadT<MatrixA>(&weight_tile[weights_at + r * T * PS + n * T], PS); }
      }
    }
    subgroupBarrier();
  }

  var highest: array<f32, RM>;
  var sum: array<f32, RM>;
  var rounded: array<f32, RM>; // the sum of the weights as 16-bit floats
  var s: array<f32, RM * RN>;
  var o: array<MatrixC, RT * VT>;
  for (var r = 0u; r < RM; r++) { highest[r] = FLOOR; }

  var at = next_tile(tile, t, tile_start(tile, keys.first), keys.end);
  while at.k0 < keys.end {
    stage(tile, t, at.k0);
    workgroupBarrier();
    var products: array<MatrixC, RT * CT>;
    for (var d = 0u; d < DT; d++) {
      for (var n = 0u; n < CT; n++) {
        let kf = coopLoad<MatrixB>(&k_tile[n * T * KS + d * T], KS);
        for (var r = 0u; r < RT; r++) {
          products[r * CT + n] = coopMultiplyAdd(q_matrix[r * DT + d], kf, products[r * CT + n]);
        }
      }
    }
    for (var r = 0u; r < RT; r++) {
      for (var n = 0u; n < CT; n++) {
        let x = products[r * CT + n];
        let to = scores_at + r * T * SS + n * T;
        coopStoreT(x, &score_tile[to], SS);
      }
    }
    subgroupBarrier();

    for (var r = 0u; r < RM; r++) {
      for (var n = 0u; n < RN; n++) { s[r * RN + n] = score_tile[row_of(lane, r) * SS + n * TX + lane.tx]; }
    }
    settle(&s, pairs(tile, lane, keys, at, &s));
    var grew = false;
    for (var r = 0u; r < RM; r++) {
      var top = highest[r];
      for (var n = 0u; n < RN; n++) { top = max(top, s[r * RN + n]); }
      top = max(top, subgroupShuffleXor(top, 1u));
      top = max(top, subgroupShuffleXor(top, 2u));
      top = max(top, subgroupShuffleXor(top, 4u));
      // All invocations of a row decide alike. A row that has seen no key takes its first maximum for nothing.
      let empty = highest[r] == FLOOR;
      let next = select(highest[r], top, empty || top > highest[r] + LAZY);
      let factor = exp_of(highest[r] - next);
      grew = grew || (next > highest[r] && !empty);
      highest[r] = next;
      sum[r] *= factor;
      rounded[r] *= factor;
      if lane.tx == 0 { factors[row_of(lane, r)] = factor; }
      for (var n = 0u; n < RN; n += 2u) {
        let i = r * RN + n;
        let p = vec2(exp_of(s[i] - next), exp_of(s[i + 1] - next));
        // Compilers fold a conversion there and back; not these two.
        let h = unpack2x16float(pack2x16float(p));
        sum[r] += p.x + p.y;
        rounded[r] += h.x + h.y;
        let to = row_of(lane, r) * PS + n * TX + lane.tx;
        weight_tile[to] = f16(p.x);
        weight_tile[to + TX] = f16(p.y);
      }
    }
    let some = subgroupAny(grew);
    if at_lane == 0 { grown[subgroup] = u32(some); }
    let all = workgroupUniformLoad(&grown);
    var rescale = 0u;
    for (var i = 0u; i < GROUPS; i++) { rescale |= all[i]; }
    if rescale != 0 {
      for (var r = 0u; r < RT; r++) {
        for (var c = 0u; c < VT; c++) {
          let x = o[r * VT + c];
          coopStoreT(x, &score_tile[scores_at], T);
          subgroupBarrier();
          for (var i = at_lane; i < T * T; i += SIZE) { score_tile[scores_at + i] *= factors[row0 + r * T + i / T]; }
          subgroupBarrier();
          o[r * VT + c] = coopLoadT<MatrixC>(&score_tile[scores_at], T);
          subgroupBarrier();
        }
      }
    }
    for (var n = 0u; n < CT; n++) {
      var weights: array<MatrixA, RT>;
      for (var r = 0u; r < RT; r++) { weights[r] = coopLoadT<MatrixA>(&weight_tile[weights_at + r * T * PS + n * T], PS); }
      for (var c = 0u; c < VT; c++) {
        let vf = coopLoad<MatrixB>(&v_tile[c * T * VS + n * T], VS);
        for (var r = 0u; r < RT; r++) { o[r * VT + c] = coopMultiplyAdd(weights[r], vf, o[r * VT + c]); }
      }
    }
    workgroupBarrier();
    at = next_tile(tile, t, at.k0 + BC, keys.end);
  }

  for (var r = 0u; r < RM; r++) {
    var total = vec2(sum[r], rounded[r]);
    total += subgroupShuffleXor(total, 1u);
    total += subgroupShuffleXor(total, 2u);
    total += subgroupShuffleXor(total, 4u);
    let query = query_of(tile, row_of(lane, r));
    if lane.tx == 0 {
      factors[row_of(lane, r)] = factor_of(query, highest[r], total.x) * select(0.0, total.x / total.y, total.y > 0.0);
      if query.exists { store_row(tile, query, highest[r], total.x); }
    }
  }
  subgroupBarrier();
  for (var r = 0u; r < RT; r++) {
    for (var c = 0u; c < VT; c++) {
      let x = o[r * VT + c];
      coopStoreT(x, &score_tile[scores_at], T);
      subgroupBarrier();
      for (var i = at_lane; i < T * T / 4; i += SIZE) {
        let row = r * T + 4 * i / T;
        let query = query_of(tile, row0 + row);
        let d = (c * T + 4 * i % T) / 4;
        let start = scores_at + 4 * i;
        let y = vec4(score_tile[start], score_tile[start + 1], score_tile[start + 2], score_tile[start + 3]);
        if query.exists && d < V4 { store_out(out_row_of(tile, query), d, y * factors[row0 + row]); }
      }
      subgroupBarrier();
    }
  }
}
