//! All that needs no device.

mod autotune;
#[path = "../support/block_masks.rs"]
mod block_masks;
#[path = "../support/case.rs"]
mod case;
mod compilers;
#[path = "../support/draw.rs"]
mod draw;
#[path = "../support/each_kernel.rs"]
mod each_kernel;
mod every_kernel;
mod examples;
mod explain;
mod gpu_day;
mod harness;
mod links;
mod memory;
mod noop;
#[path = "../support/numbers.rs"]
mod numbers;
mod reference;
mod refusals;
mod shaders;
mod spec;
#[path = "../support/stored.rs"]
mod stored;
mod support_table;
