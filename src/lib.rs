#![doc = include_str!("../README.md")]

mod bound;
mod caps;
mod check;
mod dtype;
mod error;
mod explain;
mod gpu;
pub mod kernels;
mod layout;
mod mask;
#[doc(hidden)]
pub mod params;
mod pipelines;
mod plan;
pub mod reference;
#[doc(hidden)]
pub mod shader;
mod spec;
mod tensor;

pub use wgpu;

pub use crate::{
    bound::{Bindings, Bound},
    caps::Caps,
    dtype::DType,
    error::Error,
    explain::Explanation,
    gpu::{Gpu, Progress},
    kernels::Algorithm,
    layout::{Layout, Order},
    mask::{Align, Band, MAX_LEN, Mask},
    plan::{Attention, Plan},
    spec::{MAX_DIM, ScoreStage, Shape, Slopes, Spec},
    tensor::{Inputs, Outputs, Tensor, View},
};
