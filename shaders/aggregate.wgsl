// out = weights v for a block of query rows.
//
// One workgroup     BR query rows of one head of one batch item
// One invocation    RM rows x COLS vec4 of the output
// Grid              work items: blocks of rows, heads, batch items
// Workgroup memory  kv_tile, weight_tile
//
// Needs      tile.wgsl, tile_values.wgsl, score.wgsl, weights.wgsl
// Host       src/kernels/aggregate.rs
// Reference  src/reference/mod.rs
//
// Tiles that no row sees are not visited.

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let tile = tile_of(item);
  let lane = lane_of(t);
  let end = end_key(tile.rows - 1);
  var o: array<vec4<f32>, RM * COLS>;
  var p: array<f32, RM * RN>;
  for (var k0 = first_key(tile.row0) / BC * BC; k0 < end; k0 += BC) {
    workgroupBarrier();
    for (var r = 0u; r < RM; r++) {
      let row = tile_row(tile, lane, r);
      for (var n = 0u; n < RN; n++) {
        let key = k0 + n * TX + lane.tx;
        p[r * RN + n] = 0.0;
        if row < tile.rows && key < params.kv_len {
          p[r * RN + n] = bitcast<f32>(weights[weights_row(tile.at, row) + key]);
        }
      }
    }
    tile_values(tile, lane, k0, &p, &o);
  }
  for (var r = 0u; r < RM; r++) {
    let row = tile_row(tile, lane, r);
    if row < tile.rows {
      let out_row = row_at(params.out_at, tile.at.batch, tile.at.head, row);
      for (var j = 0u; j < COLS; j++) {
        let d = j * TX + lane.tx;
        if d < V4 { store_out(out_row, d, o[r * COLS + j]); }
      }
    }
  }
}
