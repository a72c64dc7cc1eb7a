//! Kernels of a forward pass: out and log-sum-exp, in one pass over the keys.

pub(crate) mod algorithm;
pub(crate) mod decode;
pub(crate) mod matrix;
pub(crate) mod pass;
pub(crate) mod register_tile;
pub(crate) mod row;
pub(crate) mod tile;
