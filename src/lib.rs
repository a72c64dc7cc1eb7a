//! Exact attention on any GPU that WebGPU reaches, and pictures and measures of where a model looks.
//!
//! [`Spec`] says what to compute, as plain data. There are two ways to run it:
//!
//! - [`Gpu`] is for values in host memory: it chooses an adapter, uploads, runs and reads back.
//! - [`Attention`] is for programs with a `wgpu::Device` of their own: [`Attention::plan`] checks and compiles, [`Plan::bind`] checks your
//!   buffers, [`Bound::encode`] records into your encoder. Nothing is submitted, copied or waited for.
//!
//! ```no_run
//! use wgpu_attention::{Align, Gpu, Inputs, Mask, Shape, Spec};
//!
//! fn main() -> Result<(), wgpu_attention::Error> {
//!     // 8 query heads share 2 key heads; 100 queries look at 300 keys.
//!     let shape = Shape { batch: 1, q_heads: 8, kv_heads: 2, q_len: 100, kv_len: 300, head_dim: 64, value_dim: 64 };
//!     let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End);
//!
//!     let (q, k, v) = (vec![0.1; 8 * 100 * 64], vec![0.2; 2 * 300 * 64], vec![0.3; 2 * 300 * 64]);
//!     let gpu = Gpu::new()?;
//!     let outputs = gpu.run(&spec, &Inputs::new(&q, &k, &v))?; // the first call compiles the kernels
//!     println!("{:?}", &outputs.out()[..4]); // [batch, q_heads, q_len, value_dim]
//!     println!("{}", gpu.attention().plan(&spec)?.explain()); // which kernels, and why
//!     Ok(())
//! }
//! ```
//!
//! # Where to read on
//!
//! | read | for |
//! |---|---|
//! | [`guide`] | recipes: your own device, padding, decoding over a cache, multi-head attention from PyTorch, pictures, what may go wrong |
//! | [`semantics`] | what is computed, number by number: shapes, masks, alignment, scores, rows that see no key |
//! | [`features`] | what each kernel supports, and the memory that each feature takes |
//! | [`Spec`] | every option of attention |
//! | [`Measures`], [`inspect`] | where a model looks, without the matrix of weights; pictures and a page (features `plot` and `png`) |
//! | `nn` | layers with weights from safetensors files (feature `nn`) |
//! | [`reference`](mod@reference) | the f64 reference, for tests of your own |
//! | [`Error`] | every refusal; its `Debug` reads as its `Display` |
//!
//! The crate uses wgpu 30, which [`wgpu`](mod@wgpu) re-exports. The forward pass is complete; gradients are not there yet.

// On docs.rs, which builds with a nightly compiler, items say which feature they need.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// Recipes.
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}
/// What is computed.
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/semantics.md")]
pub mod semantics {}
/// What each kernel supports, and what each feature costs.
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/features.md")]
pub mod features {}
/// The programs of the README, so that they are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

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
