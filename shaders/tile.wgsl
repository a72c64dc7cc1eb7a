// A tile of query rows and keys, shared by TX x TY invocations: RM rows and RN keys each.
//
// Needs      TX TY RM RN DS VK VALUE_DIM (preamble), params.wgsl, one of tile_dense.wgsl, tile_lengths.wgsl, tile_packed.wgsl
// Host       src/kernels/tile.rs, src/mask.rs
//
// Row r of invocation (tx, ty) is r * TY + ty of the tile, key n is n * TX + tx: neighbours read neighbouring keys.

const V4 = (VALUE_DIM + 3) / 4;
const BR = TY * RM;
const BC = TX * RN;
const COLS = (V4 + TX - 1) / TX; // vec4 of an output row that one invocation holds
const THREADS = TX * TY;

// The same for the whole workgroup, and apart from Lane: some compilers call a struct non-uniform if one member is.
struct Tile {
  at: Place,
  item: u32,    // batch item or sequence
  row0: u32,    // first query row
  rows: u32,    // one past the last that exists: row0 for a tile without rows
  q_start: u32, // query 0 of the item
  k_start: u32, // key 0 of the item
  k_first: u32, // keys of the item that this dispatch covers: k_first..k_end
  k_end: u32,
  shift: i32,   // how far query 0 of the item stands from where the parameters say
}

struct Lane {
  t: u32,       // this invocation
  tx: u32,
  ty: u32,
}

fn lane_of(t: u32) -> Lane {
  return Lane(t, t % TX, t / TX);
}

fn tile_row(tile: Tile, lane: Lane, r: u32) -> u32 {
  return tile.row0 + r * TY + lane.ty;
}

// The mask lets a row see the keys first_key..end_key; both grow with the row.
fn first_key(tile: Tile, row: u32) -> u32 {
  let j = i32(row - tile.q_start) + tile.shift + params.band_lo;
  return clamp(tile.k_start + u32(max(j, 0)), tile.k_first, tile.k_end);
}

fn end_key(tile: Tile, row: u32) -> u32 {
  let j = i32(row - tile.q_start) + tile.shift + params.band_hi + 1;
  return clamp(tile.k_start + u32(max(j, 0)), tile.k_first, tile.k_end);
}

// Keys that some row of a tile sees, and those that every row sees.
struct Keys { first: u32, end: u32, full_first: u32, full_end: u32 }

fn keys_of(tile: Tile) -> Keys {
  let last = tile.rows - 1;
  return Keys(first_key(tile, tile.row0), end_key(tile, last), first_key(tile, last), end_key(tile, tile.row0));
}

// A tile of keys: the first key, and what the masks in memory do in it.
struct Next { k0: u32, kind: u32 }

const EMPTY = 0u; // every key is hidden from every row
const FULL = 1u;  // no key is hidden, and no bias is other than 0
const MIXED = 3u;
