//! Attention: what it is asked to compute, and every check of that.

pub(crate) mod block_mask;
pub(crate) mod check;
pub(crate) mod grid;
pub(crate) mod mask;
pub(crate) mod shape;
pub(crate) mod spec;
pub(crate) mod tensors;
