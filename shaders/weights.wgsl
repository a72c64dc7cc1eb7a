// What is written of each pair: f32 as bits, so that -inf is bits.
//
// Host       src/kernels/scores.rs

@group(0) @binding(6) var<storage, read_write> weights: array<u32>;
