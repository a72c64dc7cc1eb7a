// Writes the log-sum-exp of a row; no_lse.wgsl stands in where nobody asked.
//
// Host       src/shader/mod.rs

fn store_lse(at: WorkItem, row: u32, bits: u32) {
  lse[lse_row(at.batch, at.head, row)] = bits;
}
