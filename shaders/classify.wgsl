// Two bits for each tile: whether the keep-mask and the bias empty it, do nothing in it, or must be read.
//
// One workgroup     16 tiles of keys of one block of query rows, a word
// One invocation    every THREADS-th pair
// Grid              work items: words of a block, blocks of rows, heads, batch items; one of what is broadcast
// Workgroup memory  partial
//
// Needs      block.wgsl, score.wgsl, bias and keep or what stands in for them, workspace.wgsl
// Host       src/kernels/classify.rs
//
// Bit 0: some pair is visible. Bit 1: some pair is hidden, or its bias is not 0.

const THREADS = 64u;

var<workgroup> partial: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let words = (params.key_end - params.key0 + 16 * BC - 1) / (16 * BC); // of a block
  let tile = tile_of(item / words, t);
  if tile.row0 >= tile.rows { return; }
  var bits = 0u;
  for (var n = 0u; n < 16; n++) {
    let k0 = tile.k_first + (item % words * 16 + n) * BC;
    for (var i = t; i < BR * BC; i += THREADS) {
      let query = query_of(tile, i / BC);
      let key = k0 + i % BC;
      if query.exists && key < tile.k_end {
        let mine = tile_for(tile, query);
        let bias = biased(mine, query.row, key);
        let visible = !bias.hidden && kept(mine, query.row, key);
        let plain = visible && bias.value == 0.0;
        bits |= (select(0u, 1u, visible) | select(2u, 0u, plain)) << (2 * n);
      }
    }
  }
  partial[t] = bits;
  workgroupBarrier();
  if t == 0 {
    for (var i = 1u; i < THREADS; i++) { bits |= partial[i]; }
    workspace[row_at(params.classes_at, tile.at.batch, tile.at.plane, tile.at.block) + item % words] = bits;
  }
}
