// The query rows of a block, of all heads that share keys: few rows fill a block, and each load of a key serves all heads.
//
// Needs      block.wgsl, params.wgsl; stands in for heads.wgsl and rows.wgsl
// Host       src/kernels/scoring.rs
//
// Row x of a key head is query row x % n of its head x / n, n being the rows of this dispatch.

fn work_item_of(item: u32) -> WorkItem {
  let first = params.head0 / params.group;
  let kv_heads = (params.head0 + params.heads - 1) / params.group - first + 1;
  let plane = item / params.blocks;
  let kv_head = first + plane % kv_heads;
  return WorkItem(params.batch0 + plane / kv_heads, kv_head * params.group, kv_head, kv_head, item % params.blocks);
}

// The first query row of a block, and one past its last.
fn rows_of(at: WorkItem) -> vec2<u32> {
  let n = params.row_end - params.row0;
  let first = at.block * BR;
  let last = min(first + BR, params.group * n) - 1;
  let one_head = first / n == last / n;
  return select(vec2(params.row0, params.row_end), params.row0 + vec2(first % n, last % n + 1), one_head);
}

// Row x of a tile. A head of the group may belong to another dispatch.
fn query_of(tile: Tile, x: u32) -> Query {
  let n = params.row_end - params.row0;
  let y = tile.at.block * BR + x;
  let head = tile.at.head + y / n;
  let here = y < params.group * n && head >= params.head0 && head < params.head0 + params.heads;
  return Query(head, params.row0 + y % n, here);
}
