// A pair of a query and a key: its score, the slope of that score, and whether the query sees the key.
//
// Needs      block.wgsl, score.wgsl, softcap.wgsl, grid.wgsl, custom.wgsl, and head_scales, alibi and grid_bias or what stands in
//            for them
// Host       src/kernels/scoring.rs
// Reference  src/reference/score.rs
//
// Every kernel that looks at pairs goes through these three functions. The bias and the masks that lie in memory for each pair are
// added by pairs.wgsl, which knows the tiles that have none; a bias is added last, so that it changes no slope.

// What all pairs of a query have in common.
struct QueryRow {
  tile: Tile,    // as the head of the query sees it
  row: u32,
  scale: f32,
  penalty: f32,  // for each key of distance
}

struct Pair { query: QueryRow, key: u32 }

fn query_row(tile: Tile, query: Query) -> QueryRow {
  let mine = tile_for(tile, query);
  return QueryRow(mine, query.row, scale_of(mine), penalty_of(mine));
}

// The score before a function of the caller's: product or additive score, scale, softcap, ALiBi, bias of the grid.
fn common_score(pair: Pair, product: f32) -> f32 {
  return capped(product * pair.query.scale) - pair.query.penalty * distance_of(pair) + grid_bias(pair);
}

fn score_of(pair: Pair, product: f32) -> f32 {
  return custom_score(pair, common_score(pair, product));
}

// The derivative of the score by the product.
fn slope_of(pair: Pair, product: f32) -> f32 {
  let slope = pair.query.scale * capped_slope(product * pair.query.scale);
  return slope * custom_slope(pair, common_score(pair, product));
}

// Whether the mask shows the key to the query, masks in memory aside.
fn sees(pair: Pair) -> bool {
  let inside = pair.key >= first_key(pair.query.tile, pair.query.row) && pair.key < end_key(pair.query.tile, pair.query.row);
  return inside && grid_sees(pair.query.row, pair.key) && custom_sees(pair);
}
