//! Hostile input: sizes at and past 2^31 and 2^32, numbers that are none, files that lie. The answer is a result or an error that says
//! what is wrong; never a panic, an abort, an endless loop, a number that wraps, or more memory than the input could need.
//!
//! Each target takes inputs for one second, or for as many as `WGPU_ATTENTION_FUZZ_SECONDS` says, and prints how many it took. The
//! inputs follow from `WGPU_ATTENTION_FUZZ_SEED`, which is 0 unless set; what fails is shrunk first.

mod device;
mod fuzz;
mod memory;
mod problems;
mod programs;
mod values;
