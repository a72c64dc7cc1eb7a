// The block mask: which keys of a few a query sees, and what it does in a tile; no_block_mask.wgsl stands in where there is none.
//
// Needs      BLOCK (preamble: rows and keys of a block), block.wgsl
// Host       src/problem/attention/block_mask/mod.rs
//
// Of 32 blocks of keys three words: a bit for each that is seen in part, a bit for each that is seen whole, and how many blocks
// seen in part come before. Whatever the words say, nothing past params.block_parts blocks is read.

const BLOCKED = true;
const BLOCK_WORDS = BLOCK * BLOCK / 32; // of the pairs of a block
const BLOCK_KEYS = min(BLOCK, 32u);     // of a row, in a word
const ALL_KEYS = 0xffffffffu;

// The words of the block that holds a pair.
fn block_entry(head: u32, row: u32, key: u32) -> u32 {
  return block_mask_row(0, head, row / BLOCK) + key / BLOCK / 32 * 3;
}

// A bit for each of the BLOCK_KEYS keys of a row among which a key is, the first lowest; higher bits mean nothing.
fn block_bits(tile: Tile, row: u32, key: u32) -> u32 {
  let at = block_entry(tile.at.head, row, key);
  let bit = 1u << (key / BLOCK % 32);
  let in_part = block_mask[at];
  let whole = (block_mask[at + 1] & bit) != 0;
  if whole || (in_part & bit) == 0 { return select(0u, ALL_KEYS, whole); }
  let n = block_mask[at + 2] + countOneBits(in_part & (bit - 1));
  if n >= params.block_parts { return 0; }
  let pair = row % BLOCK * BLOCK + key % BLOCK;
  return block_mask[params.block_parts_at + n * BLOCK_WORDS + pair / 32] >> (pair / BLOCK_KEYS * BLOCK_KEYS % 32);
}

// EMPTY, FULL or MIXED: what the blocks do that a tile of keys touches.
fn blocks_do(tile: Tile, k0: u32) -> u32 {
  var some = false;
  var all = true;
  let end = min(k0 + BC, tile.k_end);
  var x = 0u;
  while x < BR {
    let query = query_of(tile, x);
    if query.row >= params.row_end { break; }
    if query.exists {
      for (var key = k0; key < end; key = (key / BLOCK + 1) * BLOCK) {
        let at = block_entry(query.head, query.row, key);
        let bit = 1u << (key / BLOCK % 32);
        let whole = (block_mask[at + 1] & bit) != 0;
        some = some || whole || (block_mask[at] & bit) != 0;
        all = all && whole;
      }
    }
    x += min(BLOCK - query.row % BLOCK, params.row_end - query.row); // the next block, or the next head of a group
  }
  return select(EMPTY, select(MIXED, FULL, all), some);
}
