// Scratch memory in words: small inputs packed together, tile classes, row states.
//
// Host       src/kernels/attention.rs
//
// Writable in every kernel, since a kernel may write partial outputs elsewhere in the same buffer.

@group(0) @binding(9) var<storage, read_write> workspace: array<u32>;
