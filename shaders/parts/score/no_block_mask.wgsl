// Stands in for block_mask.wgsl where there is no block mask.
//
// Host       src/problem/attention/block_mask/mod.rs

const BLOCKED = false;
const BLOCK_KEYS = 32u;
const ALL_KEYS = 0xffffffffu;

fn block_bits(tile: Tile, row: u32, key: u32) -> u32 {
  return ALL_KEYS;
}

fn blocks_do(tile: Tile, k0: u32) -> u32 {
  return FULL;
}
