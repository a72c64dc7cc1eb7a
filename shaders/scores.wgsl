// weights = scale * q kᵀ, -inf where a query does not see a key, for a block of query rows.
//
// One workgroup     BR query rows of one head of one batch item
// One invocation    RM rows x RN keys at a time
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  q_tile, kv_tile
//
// Needs      tile.wgsl, tile_scores.wgsl, weights.wgsl
// Host       src/kernels/scores.rs
// Reference  src/reference/mod.rs

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item);
  let lane = lane_of(t);
  let first = first_key(tile.row0);
  let end = end_key(tile.rows - 1);
  var s: array<f32, RM * RN>;
  for (var k0 = 0u; k0 < params.kv_len; k0 += BC) {
    if k0 < end && k0 + BC > first { tile_scores(tile, lane, k0, &s); }
    for (var r = 0u; r < RM; r++) {
      let row = tile_row(tile, lane, r);
      let row_first = first_key(row);
      let row_end = end_key(row);
      for (var n = 0u; n < RN; n++) {
        let key = k0 + n * TX + lane.tx;
        let bits = select(NEGATIVE_INFINITY, bitcast<u32>(s[r * RN + n]), key >= row_first && key < row_end);
        if row < tile.rows && key < params.kv_len { weights[weights_row(tile.at, row) + key] = bits; }
      }
    }
  }
}
