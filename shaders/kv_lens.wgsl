// Keys of each batch item, as the caller gives them.
//
// Host       src/kernels/rotary.rs

@group(0) @binding(13) var<storage, read> kv_lens: array<u32>;
