//! What a person makes of attention weights: measures of heads, agreement with what a person marked, how two attentions differ.
//!
//! The device measures without storing the weights ([`Measures`](crate::Measures)); the functions here take what it gives, or any
//! weights.
//!
//! What attention weights explain is disputed. Jain and Wallace (2019, "Attention is not Explanation") found weights that correlate
//! little with gradients, and quite other weights that give the same prediction; Wiegreffe and Pinter (2019, "Attention is not not
//! Explanation") answer that such weights must be found by the model as a whole to count, and give tests for when weights carry
//! meaning. The numbers here say where a model looks. That it decides by what it looks at is a claim about the model that they alone
//! do not prove.
//!
//! **Temperature.** [`Spec::scale`](crate::Spec::scale) is the reciprocal of a temperature, `sqrt(head_dim)` of it by default. A larger
//! scale sharpens the weights and lowers their entropy; the entropy of [`Measures::rows`](crate::Measures::rows) before and after says by
//! how much.

mod agreement;
mod divergence;
pub(crate) mod heads;
pub(crate) mod patches;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "rollout")]
mod rollout;

#[cfg(feature = "rollout")]
pub use crate::inspect::rollout::Rollout;
pub use crate::inspect::{
    agreement::Agreement,
    divergence::divergence,
    heads::{Head, heads},
    patches::PatchRegions,
};
