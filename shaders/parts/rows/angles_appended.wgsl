// A row turns by the cosines and sines of the place that an append gives it; queries are the last rows of what is appended.
//
// Needs      params.wgsl, kv_lens.wgsl
// Host       src/kernels/helpers/rotary.rs

fn angles_of(batch: u32, row: u32) -> vec2<u32> {
  let last = params.positions - 1;
  let position = i32(min(kv_len_of(batch), last)) + i32(row) + params.stand;
  return vec2(0, min(u32(max(position, 0)), last));
}
