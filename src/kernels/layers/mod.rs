//! Kernels of the layers beside attention.

pub(crate) mod embed;
pub(crate) mod linear;
pub(crate) mod locate;
pub(crate) mod norm;
