// A block of query rows and the keys that they see, which kernels go through in tiles.
//
// Needs      BR BC (preamble: rows and keys of a tile), params.wgsl, rows.wgsl or row_groups.wgsl, grid.wgsl, one of
//            block_dense.wgsl, block_lengths.wgsl, block_packed.wgsl
// Host       src/kernels/scoring.rs, src/problem/attention/mask.rs

// The same for the whole workgroup, and apart from what differs: some compilers call a struct non-uniform if one member is.
struct Tile {
  at: WorkItem,
  item: u32,    // batch item or sequence
  row0: u32,    // first query row
  rows: u32,    // one past the last that exists: row0 for a tile without rows
  q_start: u32, // query 0 of the item
  k_start: u32, // key 0 of the item
  k_first: u32, // keys of the item that this work item covers: k_first..k_end
  k_end: u32,
  shift: i32,   // how far query 0 of the item stands from where the parameters say
  k_base: u32,  // first key of the item that this dispatch covers: tiles count from here
  part: u32,    // part of the keys
}

// A row of a tile.
struct Query { head: u32, row: u32, exists: bool }

// The head of a query, or of one that does exist.
fn head_of(tile: Tile, query: Query) -> u32 {
  return select(tile.at.head, query.head, query.exists);
}

// The tile as a query of another head sees it.
fn tile_for(tile: Tile, query: Query) -> Tile {
  var mine = tile;
  mine.at.head = head_of(tile, query);
  return mine;
}

// The tile with its share of the keys.
fn split(tile: Tile, item: u32) -> Tile {
  var mine = tile;
  let n = item % params.splits;
  mine.k_first = min(tile.k_base + n * params.split_keys, tile.k_end);
  mine.k_end = min(mine.k_first + params.split_keys, tile.k_end);
  mine.part = params.part + n;
  return mine;
}

// The tile of a work item.
fn tile_of(item: u32, t: u32) -> Tile {
  return split(tile_at(work_item_of(item / params.splits), t), item);
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
  let keys = Keys(first_key(tile, tile.row0), end_key(tile, last), first_key(tile, last), end_key(tile, tile.row0));
  return grid_keys(tile, keys);
}

// The tile of keys that holds this one starts here.
fn tile_start(tile: Tile, key: u32) -> u32 {
  return tile.k_base + (key - tile.k_base) / BC * BC;
}

// A tile of keys: the first key, and what the masks in memory do in it.
struct Next { k0: u32, kind: u32 }

const EMPTY = 0u; // every key is hidden from every row
const FULL = 1u;  // no key is hidden, and no bias is other than 0
const MIXED = 3u;
