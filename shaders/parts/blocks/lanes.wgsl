// Which rows and keys of a tile an invocation holds: RM rows and RN keys, TX invocations to a row.
//
// Needs      TX TY RM RN (preamble)
// Host       src/kernels/mod.rs
//
// Row r of invocation (tx, ty) is r * TY + ty of the tile, key n is n * TX + tx: neighbours read neighbouring keys.

const THREADS = TX * TY;

struct Lane {
  t: u32,       // this invocation
  tx: u32,
  ty: u32,
}

fn lane_of(t: u32) -> Lane {
  return Lane(t, t % TX, t / TX);
}

fn row_of(lane: Lane, r: u32) -> u32 {
  return r * TY + lane.ty;
}
