// Products of a tile into scores, and which of its pairs are hidden, a bit each.
//
// Needs      MASKED (preamble: whether there is a bias or a keep-mask), score.wgsl, tile.wgsl, and alibi, bias and keep or
//            what stands in for them
// Host       src/spec.rs
//
// What each pair costs more than arithmetic is behind branches that tiles without it skip.

fn tile_pairs(tile: Tile, lane: Lane, keys: Keys, at: Next, s: ptr<function, array<f32, RM * RN>>) -> u32 {
  var hidden = 0u;
  let slope = slope_of(tile);
  for (var r = 0u; r < RM; r++) {
    for (var n = 0u; n < RN; n++) {
      let i = r * RN + n;
      (*s)[i] = capped(scaled((*s)[i])) - penalty(tile, slope, tile_row(tile, lane, r), at.k0 + n * TX + lane.tx);
    }
  }
  if MASKED && at.kind != FULL {
    for (var r = 0u; r < RM; r++) {
      let row = tile_row(tile, lane, r);
      for (var n = 0u; n < RN; n++) {
        let key = at.k0 + n * TX + lane.tx;
        if row < tile.rows && key < tile.k_end {
          let bias = biased(tile, row, key);
          (*s)[r * RN + n] += bias.value;
          if bias.hidden || !kept(tile, row, key) { hidden |= 1u << (r * RN + n); }
        }
      }
    }
  }
  if at.k0 < keys.full_first || at.k0 + BC > keys.full_end {
    for (var r = 0u; r < RM; r++) {
      let row = tile_row(tile, lane, r);
      let row_first = first_key(tile, row);
      let row_end = end_key(tile, row);
      for (var n = 0u; n < RN; n++) {
        let key = at.k0 + n * TX + lane.tx;
        if key < row_first || key >= row_end { hidden |= 1u << (r * RN + n); }
      }
    }
  }
  return hidden;
}
