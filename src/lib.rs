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
mod merge;
pub mod params;
mod pipelines;
mod plan;
mod problem;
pub mod reference;
mod rope;
pub mod shader;
mod shape;
mod spec;
mod tensor;
mod view;

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
    merge::Merge,
    plan::{Attention, Plan},
    problem::Problem,
    rope::{Angles, Pairs, Rope, Rotary},
    shape::{MAX_DIM, ScoreStage, Shape, Slopes},
    spec::Spec,
    tensor::{Data, Inputs, Outputs, Tensor},
    view::View,
};
