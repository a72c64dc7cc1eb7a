//! The kernels: when each can run, its text and its workgroup. A kernel value is the proof that it can run.
//!
//! One kernel is one entry point, `shaders/FOLDER/NAME.wgsl` joined behind a preamble of constants and the parts that it needs.

pub(crate) mod forward;
pub(crate) mod helpers;
pub(crate) mod lanes;
pub(crate) mod layers;
pub(crate) mod scoring;
pub(crate) mod weights;
pub(crate) mod workgroup;

pub use crate::kernels::{
    forward::{
        algorithm::{Algorithm, Choice, Forward},
        decode::Decode,
        matrix::Matrix,
        row::Row,
        tile::Tile,
    },
    helpers::{classify::Classify, clear::Clear, merge::MergeKernel, pack::Pack, rotary::RotaryKernel},
    layers::{embed::EmbedKernel, linear::LinearKernel, locate::LocateKernel, norm::NormKernel},
    weights::{diverge::Diverge, measure::MeasureKernel, pool::PoolKernel, receive::Receive, scores::Scores, top::Top},
    workgroup::{Needs, Shader, Workgroup},
};

/// Declares the kernels from one list: a variant of [`Kernel`] for each. The forward kernels, which have an [`Algorithm`] each, are
/// one variant.
macro_rules! kernels {
    ($($(#[$doc:meta])* $Name:ident($Host:ty),)*) => {
        /// A kernel that can run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kernel {
            /// Attention in one pass over the keys.
            Forward(Forward),
            $($(#[$doc])* $Name($Host),)*
        }

        impl Kernel {
            /// The names of all kernels.
            pub fn names() -> impl Iterator<Item = &'static str> {
                Algorithm::ALL.into_iter().map(Algorithm::name).chain([$(<$Host>::NAME),*])
            }

            /// What it tells of itself.
            #[must_use]
            pub fn shader(&self) -> &dyn Shader {
                match self {
                    Self::Forward(kernel) => kernel.shader(),
                    $(Self::$Name(kernel) => kernel,)*
                }
            }
        }
    };
}

kernels! {
    /// Scores or weights into memory.
    Scores(Scores),
    /// Which tiles masks empty.
    Classify(Classify),
    /// Partial results into the whole.
    Merge(MergeKernel),
    /// Rows turned, or appended to a cache.
    Rotary(RotaryKernel),
    /// A small input into the workspace.
    Pack(Pack),
    /// What measures add to.
    Clear(Clear),
    /// Measures of rows.
    Measure(MeasureKernel),
    /// What keys get.
    Receive(Receive),
    /// Weights into the cells of a map.
    Pool(PoolKernel),
    /// The largest weights.
    Top(Top),
    /// Two attentions compared.
    Diverge(Diverge),
    /// A linear layer.
    Linear(LinearKernel),
    /// Rows normalised.
    Norm(NormKernel),
    /// Rows of a table.
    Embed(EmbedKernel),
    /// Keys with what filters find.
    Locate(LocateKernel),
}
