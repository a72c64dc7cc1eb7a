// A tile of query rows and keys, shared by TX x TY invocations: RM rows and RN keys each.
//
// Workgroup memory  kv_tile
// Needs             TX TY RM RN DS VK HEAD_DIM VALUE_DIM KV_TILE (preamble)
// Host              src/kernels/tile.rs
//
// Row r of invocation (tx, ty) is r * TY + ty of the tile, key n is n * TX + tx: neighbours read neighbouring keys.

const D4 = (HEAD_DIM + 3) / 4;
const V4 = (VALUE_DIM + 3) / 4;
const BR = TY * RM;
const BC = TX * RN;
const COLS = (V4 + TX - 1) / TX; // vec4 of an output row that one invocation holds
const VALUE_ROW = COLS * TX;
const THREADS = TX * TY;

var<workgroup> kv_tile: array<vec4<f32>, KV_TILE>; // a slice of the keys, then a chunk of the values

// The same for the whole workgroup, and apart from Lane: some compilers call a struct non-uniform if one member is.
struct Tile {
  at: Place,
  row0: u32,    // first query row
  rows: u32,    // one past the last that exists
}

struct Lane {
  t: u32,       // this invocation
  tx: u32,
  ty: u32,
}

fn tile_of(item: u32) -> Tile {
  let at = place(item);
  let row0 = at.block * BR;
  return Tile(at, row0, min(row0 + BR, params.q_len));
}

fn lane_of(t: u32) -> Lane {
  return Lane(t, t % TX, t / TX);
}

fn tile_row(tile: Tile, lane: Lane, r: u32) -> u32 {
  return tile.row0 + r * TY + lane.ty;
}
