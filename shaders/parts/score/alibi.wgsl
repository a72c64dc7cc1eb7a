// ALiBi: a penalty that grows with the distance of a key; no_alibi.wgsl stands in where there is none.
//
// Needs      pair.wgsl, slopes
// Host       src/problem/attention/spec.rs
// Reference  Press et al. 2022, section 3

// For each key of distance: the slope of the head. A score changes by minus the distance for each unit of it.
fn penalty_of(tile: Tile) -> f32 {
  return bitcast<f32>(workspace[slopes_row(0, 0, tile.item) + tile.at.head]);
}

fn distance_of(pair: Pair) -> f32 {
  let tile = pair.query.tile;
  let i = i32(pair.query.row - tile.q_start) + params.stand + tile.shift;
  return abs(f32(i - i32(pair.key - tile.k_start)));
}
