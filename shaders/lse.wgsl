// Writes the log-sum-exp of a row; no_lse.wgsl stands in where nobody asked.
//
// Host       src/shader.rs

@group(0) @binding(5) var<storage, read_write> lse: array<u32>;

fn store_lse(at: Place, row: u32, bits: u32) {
  lse[row_at(params.lse_at, at.batch, at.head, row)] = bits;
}
