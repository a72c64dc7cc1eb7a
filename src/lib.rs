#![doc = include_str!("../README.md")]

mod caps;
mod device;
mod error;
mod gpu;
pub mod inspect;
#[doc(hidden)]
pub mod kernels;
#[cfg(feature = "nn")]
pub mod nn;
mod problem;
#[doc(hidden)]
pub mod program;
pub mod reference;
#[doc(hidden)]
pub mod shader;
mod tensor;

pub use wgpu;

pub use crate::{
    caps::{Caps, DeviceKind},
    device::{
        autotune::Autotune,
        bindings::Bindings,
        bound::Bound,
        explain::Explanation,
        plan::{Attention, Plan},
    },
    error::Error,
    gpu::{Gpu, Progress},
    kernels::forward::algorithm::Algorithm,
    problem::{
        Problem,
        attention::{
            block_mask::{BlockForm, BlockMask, Seen, patterns::Pattern},
            grid::Grid,
            mask::{Align, Band, Mask},
            shape::{ScoreStage, Shape, Slopes},
            spec::Spec,
        },
        divergence::Divergence,
        embed::Embed,
        limits::{MAX_DIM, MAX_LEN, MAX_WIDTH},
        linear::{Activation, Linear},
        locate::Locate,
        measures::{MAX_RANGES, MAX_TOP, MapOf, Measures, Pool, ROW_MEASURES},
        merge::Merge,
        norm::Norm,
        rope::{Angles, Pairs, Rope, Rotary},
        values::{Data, Inputs, Outputs},
    },
    tensor::{
        Tensor,
        dtype::DType,
        layout::{Layout, Order},
        view::View,
    },
};
