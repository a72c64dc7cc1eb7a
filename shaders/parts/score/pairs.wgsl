// Products of a tile into scores, and which of its pairs are hidden, a bit each.
//
// Needs      MASKED (preamble: whether there is a bias, a keep-mask or a block mask), pair.wgsl, lanes.wgsl, and bias, keep and
//            block_mask or what stands in for them
// Host       src/kernels/scoring.rs
//
// What each pair costs more than arithmetic is behind branches that tiles without it skip. The pairs are those of RM rows and
// RN keys of each invocation, from key at.k0 on: a tile, or a part of one.

// Products into the scores of their pairs, from key k0 on, bias and masks in memory aside.
fn scores_of(tile: Tile, lane: Lane, k0: u32, s: ptr<function, array<f32, RM * RN>>) {
  for (var r = 0u; r < RM; r++) {
    let row = query_row(tile, query_of(tile, row_of(lane, r)));
    for (var n = 0u; n < RN; n++) {
      let i = r * RN + n;
      (*s)[i] = score_of(Pair(row, k0 + n * TX + lane.tx), (*s)[i]);
    }
  }
}

fn pairs(tile: Tile, lane: Lane, keys: Keys, at: Next, s: ptr<function, array<f32, RM * RN>>) -> u32 {
  var hidden = 0u;
  scores_of(tile, lane, at.k0, s);
  if MASKED && at.kind != FULL {
    for (var r = 0u; r < RM; r++) {
      let query = query_of(tile, row_of(lane, r));
      let mine = tile_for(tile, query);
      var word = ALL_KEYS; // which keys of a row the bits are of
      var bits = ALL_KEYS;
      for (var n = 0u; n < RN; n++) {
        let key = at.k0 + n * TX + lane.tx;
        if query.exists && key < tile.k_end {
          if BLOCKED && key / BLOCK_KEYS != word {
            word = key / BLOCK_KEYS;
            bits = block_bits(mine, query.row, key);
          }
          let shown = ((bits >> (key % BLOCK_KEYS)) & 1) != 0;
          let bias = biased(mine, query.row, key);
          (*s)[r * RN + n] += bias.value;
          if bias.hidden || !kept(mine, query.row, key) || !shown { hidden |= 1u << (r * RN + n); }
        }
      }
    }
  }
  if at.k0 < keys.full_first || at.k0 + TX * RN > keys.full_end {
    for (var r = 0u; r < RM; r++) {
      let row = query_row(tile, query_of(tile, row_of(lane, r)));
      for (var n = 0u; n < RN; n++) {
        if !sees(Pair(row, at.k0 + n * TX + lane.tx)) { hidden |= 1u << (r * RN + n); }
      }
    }
  }
  return hidden;
}

// The scores between what a running maximum starts at and what sums can hold; below both, what is hidden.
fn settle(s: ptr<function, array<f32, RM * RN>>, hidden: u32) {
  for (var i = 0u; i < RM * RN; i++) { (*s)[i] = clamp((*s)[i], LOWEST, HIGHEST); }
  if hidden != 0 {
    for (var i = 0u; i < RM * RN; i++) { (*s)[i] = select((*s)[i], HIDDEN, ((hidden >> i) & 1) != 0); }
  }
}
