// The boolean keep-mask of a query and a key; no_keep.wgsl stands in where there is none.
//
// Needs      KEEP_BITS (preamble: 8 or 1 bits for an element), block.wgsl
// Host       src/problem/attention/spec.rs

const KEEP_WORD = 32 / KEEP_BITS; // elements of a word
const KEEP_ONE = (1u << KEEP_BITS) - 1;

fn kept(tile: Tile, row: u32, key: u32) -> bool {
  if key >= params.keep_columns { return false; }
  let i = keep_row(tile.at.batch, tile.at.head, row) + key;
  return ((keep[i / KEEP_WORD] >> (i % KEEP_WORD * KEEP_BITS)) & KEEP_ONE) != 0;
}
