//! Kernels that prepare inputs and put results together.

pub(crate) mod classify;
pub(crate) mod clear;
pub(crate) mod merge;
pub(crate) mod pack;
pub(crate) mod rotary;
