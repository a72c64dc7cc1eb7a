//! The text of shaders: plain WGSL parts joined behind a preamble that is made here, and the uniform that all of them read.

pub(crate) mod access;
pub(crate) mod params;
pub(crate) mod parts;
pub(crate) mod slot;
pub(crate) mod source;
pub(crate) mod text;

pub use crate::shader::{
    params::{Params, strides},
    slot::Slot,
    source::{Binding, Source},
};
