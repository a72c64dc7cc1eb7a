//! On a device: the first folder that knows wgpu. Pipelines, plans, bindings, recording.

pub(crate) mod autotune;
pub(crate) mod bindings;
pub(crate) mod bound;
pub(crate) mod explain;
pub(crate) mod memory;
pub(crate) mod pipelines;
pub(crate) mod plan;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod tune;
