// Where a key lies; one that does not exist stands as the last that does, and must be hidden.
//
// Needs      block.wgsl, k
// Host       src/kernels/scoring.rs

fn key_row(tile: Tile, key: u32) -> u32 {
  return k_row(tile.at.batch, tile.at.kv_head, min(key, tile.k_end - 1));
}
