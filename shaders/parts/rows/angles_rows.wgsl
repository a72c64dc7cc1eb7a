// Every row of every batch item has cosines and sines of its own.
//
// Needs      params.wgsl
// Host       src/kernels/helpers/rotary.rs

fn angles_of(batch: u32, row: u32) -> vec2<u32> {
  return vec2(batch, row + u32(params.stand));
}
