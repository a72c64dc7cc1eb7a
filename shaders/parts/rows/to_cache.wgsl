// A row goes behind the keys that its batch item has; to_same.wgsl is its twin.
//
// Needs      params.wgsl, kv_lens.wgsl
// Host       src/kernels/helpers/rotary.rs

fn row_to(batch: u32, row: u32) -> u32 {
  return min(kv_len_of(batch), params.kv_len) + row;
}
