// What becomes of a row at its end: where its output lies, by what that is multiplied, and what is kept beside it.
//
// Needs      PARTIAL (preamble: rows are left as sums, to be merged with those over other keys), block.wgsl, softmax_row.wgsl,
//            lse and state or what stands in for them
// Host       src/kernels/forward/pass.rs

fn out_row_of(tile: Tile, query: Query) -> u32 {
  return out_row(tile.at.batch, query.head, query.row) + tile.part * params.part_step;
}

fn factor_of(query: Query, highest: f32, sum: f32) -> f32 {
  if PARTIAL { return 1.0; }
  return row_factor(query.head, highest, sum);
}

fn store_row(tile: Tile, query: Query, highest: f32, sum: f32) {
  let at = tile_for(tile, query).at;
  store_lse(at, query.row, row_lse(highest, sum));
  store_state(at, query.row, tile.part, vec2(highest, select(row_factor(query.head, highest, sum), sum, PARTIAL)));
}
