// Every query row exists; row_packed.wgsl is its twin.
//
// Host       src/kernels/helpers/merge.rs

fn exists(row: u32) -> bool {
  return true;
}
