#![doc = include_str!("../README.md")]

mod autotune;
mod block_mask;
mod bound;
mod caps;
mod check;
mod divergence;
mod dtype;
mod embed;
mod error;
mod explain;
mod gpu;
mod grid;
pub mod inspect;
pub mod kernels;
mod layout;
mod linear;
mod locate;
mod mask;
mod measures;
mod merge;
#[cfg(feature = "nn")]
pub mod nn;
mod norm;
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
    block_mask::{BlockForm, BlockMask, Pattern, Seen},
    bound::{Bindings, Bound},
    caps::{Caps, DeviceKind},
    divergence::Divergence,
    dtype::DType,
    embed::Embed,
    error::Error,
    explain::Explanation,
    gpu::{Gpu, Progress},
    grid::Grid,
    kernels::Algorithm,
    layout::{Layout, Order},
    linear::{Activation, Linear, MAX_WIDTH},
    locate::Locate,
    mask::{Align, Band, MAX_LEN, Mask},
    measures::{MAX_RANGES, MAX_TOP, MapOf, Measures, Pool, ROW_MEASURES},
    merge::Merge,
    norm::Norm,
    plan::{Attention, Plan},
    problem::Problem,
    rope::{Angles, Pairs, Rope, Rotary},
    shape::{MAX_DIM, ScoreStage, Shape, Slopes},
    spec::Spec,
    tensor::{Data, Inputs, Outputs, Tensor},
    view::View,
};
