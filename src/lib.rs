#![doc = include_str!("../README.md")]

mod autotune;
mod bound;
mod caps;
mod check;
mod dtype;
mod error;
mod explain;
mod gpu;
mod grid;
pub mod inspect;
pub mod kernels;
mod layout;
mod locate;
mod mask;
mod measures;
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
#[cfg(not(target_arch = "wasm32"))]
mod tune;
mod view;

pub use wgpu;

pub use crate::{
    autotune::Autotune,
    bound::{Bindings, Bound},
    caps::{Caps, DeviceKind},
    dtype::DType,
    error::Error,
    explain::Explanation,
    gpu::{Gpu, Progress},
    grid::Grid,
    kernels::Algorithm,
    layout::{Layout, Order},
    locate::Locate,
    mask::{Align, Band, MAX_LEN, Mask},
    measures::{MAX_RANGES, MAX_TOP, MapOf, Measures, Pool, ROW_MEASURES},
    merge::Merge,
    plan::{Attention, Plan},
    problem::Problem,
    rope::{Angles, Pairs, Rope, Rotary},
    shape::{MAX_DIM, ScoreStage, Shape, Slopes},
    spec::Spec,
    tensor::{Data, Inputs, Outputs, Tensor},
    view::View,
};
