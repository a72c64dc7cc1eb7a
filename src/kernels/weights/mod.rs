//! Kernels that look at the pairs a pass time, once the softmax of each row is known.

pub(crate) mod diverge;
pub(crate) mod measure;
pub(crate) mod pass;
pub(crate) mod pool;
pub(crate) mod receive;
pub(crate) mod scores;
pub(crate) mod top;
