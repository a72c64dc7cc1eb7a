// The tile of a block of rows where sequences of any lengths lie side by side.
//
// Workgroup memory  shared_tile
// Needs             block.wgsl, workspace
// Host              src/kernels/scoring.rs
//
// Sequence s has the blocks from floor(start / BR) + s on, start being its first row: enough for any length, since
// ceil(n / BR) <= floor((start + n) / BR) - floor(start / BR) + 1, and no sum over the sequences before is needed. At most
// one block of each sequence has no rows. Lengths that do not grow are cut so that nothing outside the tensors is touched.

var<workgroup> shared_tile: Tile;

// Rows of this dispatch before sequence s.
fn rows_before(s: u32) -> u32 {
  return clamp(workspace[cu_q_row(0, 0, 0) + s], params.row0, params.row_end) - params.row0;
}

fn first_block(s: u32) -> u32 {
  return rows_before(s) / BR + s;
}

fn tile_at(at: WorkItem, t: u32) -> Tile {
  if t == 0 {
    var s = 0u;
    var past = params.sequences;
    while past - s > 1 {
      let middle = (s + past) / 2;
      if first_block(middle) <= at.block { s = middle; } else { past = middle; }
    }
    let rows_end = params.row0 + max(rows_before(s + 1), rows_before(s));
    let row0 = min(params.row0 + rows_before(s) + (at.block - min(first_block(s), at.block)) * BR, rows_end);
    let rows = select(row0, min(row0 + BR, rows_end), at.block >= first_block(s));

    let q_start = min(workspace[cu_q_row(0, 0, 0) + s], params.q_len);
    let q_stop = clamp(workspace[cu_q_row(0, 0, 0) + s + 1], q_start, params.q_len);
    let k_start = min(workspace[cu_k_row(0, 0, 0) + s], params.kv_len);
    let k_stop = clamp(workspace[cu_k_row(0, 0, 0) + s + 1], k_start, params.kv_len);
    let k_first = clamp(k_start, params.key0, params.key_end);
    let k_end = clamp(k_stop, k_first, params.key_end);
    let shift = select(0, i32(k_stop - k_start) - i32(q_stop - q_start), params.from_end == 1);
    shared_tile = Tile(at, s, row0, rows, q_start, k_start, k_first, k_end, shift, k_first, 0);
  }
  return workgroupUniformLoad(&shared_tile);
}

// The blocks that may have some of these rows: any, since sequences have blocks of their own.
fn blocks_of(first: u32, end: u32) -> vec2<u32> {
  return vec2(0, (params.row_end - params.row0) / BR + params.sequences);
}
