//! Hostile input: sizes at and past 2^31 and 2^32, numbers that are none, files that lie. The answer is a result or an error that says
//! what is wrong; never a panic, an abort, an endless loop, a number that wraps, or more memory than the input could need.
//!
//! Each target takes inputs for 0.3 seconds, or for as many as `WGPU_ATTENTION_FUZZ_SECONDS` says, and prints how many it took. The
//! inputs follow from `WGPU_ATTENTION_FUZZ_SEED`, which is 0 unless set; what fails is shrunk first.

#[path = "../../examples/support/case.rs"]
mod case;
#[path = "../../examples/encoders/support/checkpoint.rs"]
mod checkpoint;
mod compare;
mod device;
mod files;
mod found;
mod fuzz;
mod graphs;
#[path = "../../examples/encoders/support/image_model.rs"]
mod image_model;
mod images;
mod memory;
mod mutate;
#[path = "../../examples/encoders/support/patches.rs"]
mod patches;
mod plain;
mod problems;
mod programs;
#[path = "../../examples/encoders/support/published.rs"]
mod published;
#[path = "../../examples/support/sentence.rs"]
mod sentence;
mod sizes;
#[path = "../../examples/encoders/support/text_model.rs"]
mod text_model;
mod values;
