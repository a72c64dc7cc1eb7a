// The vec4 of an output row, shared by the TX invocations of the row.
//
// Needs      VALUE_DIM TX (preamble)
// Host       src/kernels/forward/pass.rs

const V4 = (VALUE_DIM + 3) / 4;
const COLS = (V4 + TX - 1) / TX; // vec4 that one invocation holds
