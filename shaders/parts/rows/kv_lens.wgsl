// Keys of each batch item, as the caller gives them.
//
// Host       src/kernels/helpers/rotary.rs

fn kv_len_of(batch: u32) -> u32 {
  return kv_lens[kv_lens_row(0, 0, 0) + batch];
}
