// Adds a tile of weights times a tile of values to the output rows that an invocation holds, 4 * VK keys at a time.
//
// Workgroup memory  weight_tile, kv_tile
// Needs             VK VALUE_DIM (preamble), tile_scores.wgsl, columns.wgsl, load_v
// Host              src/kernels/forward/register_tile.rs
//
// The caller has passed a barrier since it, or anyone, last read weight_tile. Keys that do not exist count as zeros.

const VALUE_ROW = COLS * TX;
const WEIGHT_ROW = BC / 4 + 1;

var<workgroup> weight_tile: array<vec4<f32>, BR * WEIGHT_ROW>;

fn tile_values(
  tile: Tile,
  lane: Lane,
  k0: u32,
  p: ptr<function, array<f32, RM * RN>>,
  o: ptr<function, array<vec4<f32>, RM * COLS>>,
) {
  var pf: array<vec4<f32>, RM>;
  // Whole vec4, because writing one component may touch the others: component e of vec4 c is key (c / TX * 4 + e) * TX + c % TX.
  for (var r = 0u; r < RM; r++) {
    for (var g = 0u; g < RN / 4; g++) {
      let i = r * RN + 4 * g;
      weight_tile[(r * TY + lane.ty) * WEIGHT_ROW + g * TX + lane.tx] = vec4((*p)[i], (*p)[i + 1], (*p)[i + 2], (*p)[i + 3]);
    }
  }
  for (var c0 = 0u; c0 < params.key_vec4s; c0 += VK) {
    workgroupBarrier();
    for (var i = lane.t; i < 4 * VK * VALUE_ROW; i += THREADS) {
      let d = i % VALUE_ROW;
      let c = c0 + i / VALUE_ROW % VK;
      let key = k0 + (c / TX * 4 + i / VALUE_ROW / VK) * TX + c % TX;
      var x = vec4<f32>();
      if key < tile.k_end && d < V4 { x = load_v(v_row(tile.at.batch, tile.at.kv_head, key), d); }
      kv_tile[i] = x;
    }
    workgroupBarrier();
    for (var c = 0u; c < params.chunk_vec4s; c++) {
      for (var r = 0u; r < RM; r++) { pf[r] = weight_tile[(r * TY + lane.ty) * WEIGHT_ROW + c0 + c]; }
      for (var e = 0u; e < 4; e++) {
        for (var j = 0u; j < COLS; j++) {
          let vf = kv_tile[(e * VK + c) * VALUE_ROW + j * TX + lane.tx];
          for (var r = 0u; r < RM; r++) { (*o)[r * COLS + j] += pf[r][e] * vf; }
        }
      }
    }
  }
}
