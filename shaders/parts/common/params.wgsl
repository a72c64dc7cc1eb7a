// The uniform of every kernel, and the addresses it gives.
//
// Host       src/shader/params.rs
//
// A work item is one share of a dispatch: for most kernels a block of query rows of one head of one batch item.

struct Params {
  places: array<vec4<u32>, 16>, // of each tensor: offset, then elements per batch item, head, row; the offset counts from what is
                                // bound, modulo 2^32
  first: u32,             // work items of this dispatch: first..end
  end: u32,
  grid_x: u32,
  blocks: u32,            // work items of one head
  batch0: u32,            // what this dispatch covers: batch items from batch0, heads from head0, rows, keys
  head0: u32,
  heads: u32,
  group: u32,             // query heads that share a key head
  row0: u32,
  row_end: u32,
  key0: u32,
  key_end: u32,
  q_len: u32,             // of the whole problem
  kv_len: u32,
  sequences: u32,
  appended: u32,
  band_lo: i32,           // visible j - i: band_lo..=band_hi, from where the device finds the query to stand
  band_hi: i32,
  stand: i32,             // key at which query 0 stands, for ALiBi
  from_end: u32,          // 1: the last query stands at the last key, wherever that is
  scale: f32,
  softcap: f32,
  bias_columns: u32,
  keep_columns: u32,
  part: u32,              // parts of the keys, whose results are merged
  parts: u32,
  part_step: u32,
  splits: u32,            // work items that share the keys of one block of rows
  split_keys: u32,        // keys of each
  state_step: u32,
  positions: u32,         // rows of cosines and sines
  pack_at: u32,
  head_vec4s: u32,        // D4, DS, BC / 4 and VK again, as ends of loops that drivers shall not unroll
  slice_vec4s: u32,
  key_vec4s: u32,
  chunk_vec4s: u32,
  fill: u32,              // what is written where measures are cleared
  map_rows: u32,          // cells of a map
  map_columns: u32,
  cell_rows: u32,         // what a cell covers
  cell_keys: u32,
  cells_row0: u32,        // row of the first cell
  head_share: f32,        // of a head in a map of several
  block_parts_at: u32,    // first word of the blocks that are seen in part
  block_parts: u32,       // for how many there is room
  channels: u32,          // filters of a convolution
  filter_width: u32,      // keys of a filter
  grid_rows: u32,         // of cells, the queries and keys
  grid_columns: u32,
  grid_window: u32,       // cells that a query sees in each direction
  grid_shift: u32,        // where windows start
  first_position: u32,    // of learned positions
  period: u32,            // rows after which positions start again
  epsilon: f32,           // of a normalisation
  padding: vec2<u32>,
}
@group(0) @binding(0) var<uniform> params: Params;

// Where a work item lies; plane is its head, or the key head of heads that share tiles.
struct WorkItem { batch: u32, head: u32, kv_head: u32, plane: u32, block: u32 }

fn work_item(workgroup: vec3<u32>) -> u32 {
  return params.first + workgroup.y * params.grid_x + workgroup.x;
}

// The first element of a row.
fn row_at(at: vec4<u32>, batch: u32, head: u32, row: u32) -> u32 {
  return at.x + batch * at.y + head * at.z + row * at.w;
}
