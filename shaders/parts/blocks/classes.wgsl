// The next tile of keys that the masks in memory do not empty; no_classes.wgsl stands in where there are none.
//
// Workgroup memory  shared_next
// Needs             block.wgsl, workspace
// Host              src/kernels/helpers/classify.rs
//
// Two bits of each tile, as classify.wgsl wrote them: 16 tiles are skipped at once.

const SEEN = 0x55555555u; // bit 0 of each tile: some pair is visible

var<workgroup> shared_next: Next;

fn next_tile(tile: Tile, t: u32, k0: u32, end: u32) -> Next {
  if t == 0 {
    let row = classes_row(tile.at.batch, tile.at.plane, tile.at.block);
    var at = Next(k0, EMPTY);
    while at.k0 < end {
      let n = (at.k0 - tile.k_base) / BC;
      let left = workspace[row + n / 16] >> (n % 16 * 2);
      if (left & SEEN) != 0 {
        let skipped = countTrailingZeros(left & SEEN);
        at = Next(at.k0 + skipped / 2 * BC, (left >> skipped) & 3);
        break;
      }
      at.k0 += (16 - n % 16) * BC;
    }
    shared_next = at;
  }
  return workgroupUniformLoad(&shared_next);
}
