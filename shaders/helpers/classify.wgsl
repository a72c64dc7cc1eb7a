// Two bits for each tile: whether the masks in memory and the bias empty it, do nothing in it, or must be read.
//
// One workgroup     16 tiles of keys of one block of query rows, a word
// One invocation    every THREADS-th pair, or word of pairs
// Grid              work items: words of a block, blocks of rows, heads, batch items; one of what is broadcast
// Workgroup memory  partial, blocks
//
// Needs      PAIRED (preamble: whether there is a bias or a keep-mask), block.wgsl, score.wgsl, bias, keep and block mask or
//            what stands in for them, workspace
// Host       src/kernels/helpers/classify.rs
//
// Bit 0: some pair is visible. Bit 1: some pair is hidden, or its bias is not 0. Of what the block mask empties no pair is looked
// at, and of what it shows whole only where other masks may hide some.

const THREADS = 64u;
const WORDS = (BC + BLOCK_KEYS - 1) / BLOCK_KEYS + 1; // of the block mask, in which the keys of a row lie

var<workgroup> partial: array<u32, THREADS>;
var<workgroup> blocks: array<u32, 16>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let words = (params.key_end - params.key0 + 16 * BC - 1) / (16 * BC); // of a block
  let tile = tile_of(item / words, t);
  if tile.row0 >= tile.rows { return; }
  if t < 16 { blocks[t] = blocks_do(tile, tile.k_first + (item % words * 16 + t) * BC); }
  workgroupBarrier();
  var bits = 0u;
  for (var n = 0u; n < 16; n++) {
    let k0 = tile.k_first + (item % words * 16 + n) * BC;
    if blocks[n] == EMPTY { continue; }
    if blocks[n] == FULL && !PAIRED {
      bits |= FULL << (2 * n);
      continue;
    }
    if !PAIRED {
      // The pairs of a row are bits of a word, or of two where tiles do not start where words do.
      for (var i = t; i < BR * WORDS; i += THREADS) {
        let query = query_of(tile, i / WORDS);
        let word = k0 / BLOCK_KEYS + i % WORDS;
        let first = max(k0, word * BLOCK_KEYS);
        let end = min(min(k0 + BC, tile.k_end), (word + 1) * BLOCK_KEYS);
        if query.exists && first < end {
          let all = ALL_KEYS >> (32 - (end - first));
          let shown = (block_bits(tile_for(tile, query), query.row, first) >> (first % BLOCK_KEYS)) & all;
          bits |= (select(0u, 1u, shown != 0) | select(2u, 0u, shown == all)) << (2 * n);
        }
      }
      continue;
    }
    for (var i = t; i < BR * BC; i += THREADS) {
      let query = query_of(tile, i / BC);
      let key = k0 + i % BC;
      if query.exists && key < tile.k_end {
        let mine = tile_for(tile, query);
        let bias = biased(mine, query.row, key);
        let visible = !bias.hidden && kept(mine, query.row, key)
          && ((block_bits(mine, query.row, key) >> (key % BLOCK_KEYS)) & 1) != 0;
        let plain = visible && bias.value == 0.0;
        bits |= (select(0u, 1u, visible) | select(2u, 0u, plain)) << (2 * n);
      }
    }
  }
  partial[t] = bits;
  workgroupBarrier();
  if t == 0 {
    for (var i = 1u; i < THREADS; i++) { bits |= partial[i]; }
    workspace[classes_row(tile.at.batch, tile.at.plane, tile.at.block) + item % words] = bits;
  }
}
