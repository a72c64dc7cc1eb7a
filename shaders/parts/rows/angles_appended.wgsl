// A row turns by the cosines and sines of the place that an append gives it.
//
// Needs      params.wgsl, kv_lens.wgsl
// Host       src/kernels/helpers/rotary.rs

fn angles_of(batch: u32, row: u32) -> vec2<u32> {
  let last = params.positions - 1;
  return vec2(0, min(min(kv_len_of(batch), last) + row, last));
}
