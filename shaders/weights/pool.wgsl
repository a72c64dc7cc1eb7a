// A map of the weights of a head, each cell the sum or the largest of some rows and keys.
//
// One workgroup     GROUP rows of cells x up to STRIP / GROUP cells of each
// One invocation    RM rows x RN keys at a time
// Grid              work items: strips of cells, rows of cells, heads, batch items
// Workgroup memory  strip, pair_tile, column_tile, and that of tile_scores.wgsl
//
// Needs      STRIP GROUP (preamble: cells of a workgroup, rows of cells that fit a tile), MAXIMUM (preamble: the largest, not the sum),
//            tile_scores.wgsl or row_scores.wgsl, pairs.wgsl, state.wgsl
// Host       src/kernels/weights/pool.rs
// Reference  src/reference/measures.rs
//
// Adds to what is there: zeros, or what the cells have of other pieces and heads.

const LONG = STRIP / GROUP; // cells of a strip

var<workgroup> strip: array<f32, STRIP>;
var<workgroup> pair_tile: array<f32, select(1, BR * BC, GROUP > 1)>;
var<workgroup> column_tile: array<f32, BC * TY>;

fn joined(a: f32, b: f32) -> f32 {
  if MAXIMUM { return max(a, b); }
  return a + b;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(local_invocation_index) t: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  in_subgroup: InSubgroup,
) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let lane = lane_of(t);
  var at = work_item_of(item);
  let strips = (params.map_columns + LONG - 1) / LONG;
  let cell0 = at.block % strips * LONG;         // first cell of the strip
  let cell_row0 = at.block / strips * GROUP;     // first row of cells
  // Rows and keys of these cells, among those of this dispatch.
  let row_first = clamp(params.cells_row0 + cell_row0 * params.cell_rows, params.row0, params.row_end);
  let row_past = clamp(params.cells_row0 + (cell_row0 + GROUP) * params.cell_rows, params.row0, params.row_end);
  let key_first = clamp(cell0 * params.cell_keys, params.key0, params.key_end);
  let key_past = clamp(min(cell0 + LONG, params.map_columns) * params.cell_keys, params.key0, params.key_end);
  if row_first >= row_past || key_first >= key_past { return; }
  for (var i = t; i < STRIP; i += THREADS) { strip[i] = 0.0; }
  var s: array<f32, RM * RN>;

  let blocks = blocks_of(row_first, row_past);
  for (at.block = blocks.x; at.block < blocks.y; at.block++) {
    let tile = tile_at(at, t);
    if tile.row0 >= tile.rows || tile.row0 >= row_past || tile.rows <= row_first { continue; }
    let keys = keys_of(tile);
    if keys.end <= key_first || keys.first >= key_past { continue; }
    let end = min(key_past, keys.end);
    var next = next_tile(tile, t, tile_start(tile, max(key_first, keys.first)), end);
    while next.k0 < end {
      tile_scores(tile, lane, in_subgroup, next.k0, &s);
      settle(&s, pairs(tile, lane, keys, next, &s));
      for (var r = 0u; r < RM; r++) {
        let query = query_of(tile, row_of(lane, r));
        var state = vec2<f32>();
        // Rows of other cells count as if they did not exist.
        if query.exists && query.row >= row_first && query.row < row_past {
          state = load_state(tile_for(tile, query).at, query.row, params.part);
        }
        for (var n = 0u; n < RN; n++) { s[r * RN + n] = weight_of(s[r * RN + n], state); }
      }
      workgroupBarrier();
      if GROUP > 1 {
        for (var r = 0u; r < RM; r++) {
          for (var n = 0u; n < RN; n++) { pair_tile[row_of(lane, r) * BC + n * TX + lane.tx] = s[r * RN + n]; }
        }
      } else {
        for (var n = 0u; n < RN; n++) {
          var x = 0.0;
          for (var r = 0u; r < RM; r++) { x = joined(x, s[r * RN + n]); }
          column_tile[(n * TX + lane.tx) * TY + lane.ty] = x;
        }
      }
      workgroupBarrier();
      let since = max(next.k0, key_first);
      let past = min(next.k0 + BC, key_past);
      let first_cell = since / params.cell_keys;
      let cells = (past - 1) / params.cell_keys - first_cell + 1;
      for (var i = t; i < GROUP * cells; i += THREADS) {
        let cell = first_cell + i % cells;
        let cell_row = cell_row0 + i / cells;
        let key0 = max(cell * params.cell_keys, since) - next.k0;
        let key1 = min((cell + 1) * params.cell_keys, past) - next.k0;
        let r0 = clamp(params.cells_row0 + cell_row * params.cell_rows, tile.row0, tile.rows) - tile.row0;
        let r1 = clamp(params.cells_row0 + (cell_row + 1) * params.cell_rows, tile.row0, tile.rows) - tile.row0;
        let to = i / cells * LONG + cell - cell0;
        var x = strip[to];
        for (var key = key0; key < key1; key++) {
          if GROUP > 1 {
            for (var r = r0; r < r1; r++) { x = joined(x, pair_tile[r * BC + key]); }
          } else {
            for (var r = 0u; r < TY; r++) { x = joined(x, column_tile[key * TY + r]); }
          }
        }
        strip[to] = x;
      }
      next = next_tile(tile, t, next.k0 + BC, end);
    }
  }

  workgroupBarrier();
  for (var i = t; i < STRIP; i += THREADS) {
    let cell = cell0 + i % LONG;
    let cell_row = cell_row0 + i / LONG;
    if cell < params.map_columns && cell_row < params.map_rows {
      let to = map_row(at.batch, at.head, cell_row) + cell;
      map[to] = joined(map[to], strip[i] * params.head_share);
    }
  }
}
