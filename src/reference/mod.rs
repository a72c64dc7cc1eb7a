//! What the kernels must compute, on the CPU.
//!
//! [`attention`] is the oracle: `f64`, written from the formula, slow and easy to believe. It reads every input as a device
//! holds it, rounded to the tensor's element type, and rounds nothing after that but what is appended to a cache. [`rope`],
//! [`merge`], [`measures`], [`divergence`], [`locate`](locate()), [`linear`], [`norm`] and [`embed`] are the oracles of the other
//! problems. [`naive`] is the same formula in f32, whose error says what f32 and the type of out cost; [`Tolerance`] is made of the
//! two, and [`check`] holds all outputs of a problem to it. [`tiled`] is the twin of
//! the forward kernels: same tiles, same order.

mod check;
mod divergence;
mod embed;
mod formula;
mod linear;
mod locate;
mod measures;
mod merge;
mod naive;
mod norm;
mod operands;
mod real;
mod rope;
mod score;
mod stored;
mod tiled;
mod tolerance;

pub use self::{
    check::{Margin, Wrong, check, tolerances},
    divergence::divergence,
    embed::embed,
    linear::linear,
    locate::locate,
    measures::measures,
    merge::merge,
    naive::naive,
    norm::norm,
    rope::rope,
    tiled::{Tiles, tiled},
    tolerance::{Mismatch, Tolerance},
};
pub(crate) use self::{divergence::jensen_shannon, formula::Sum};
use self::{formula::collect, operands::Operands};
use crate::{
    problem::Problem,
    spec::Spec,
    tensor::{Inputs, Outputs},
};

/// One query row of one head of one batch item.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// Output, `value_dim` elements; none where the spec wants no out.
    pub out: Vec<T>,
    /// Log-sum-exp, natural logarithm; -inf where the row sees no key.
    pub lse: T,
    /// Weight of each key.
    pub weights: Vec<T>,
    /// Score of each key at the stage that the spec asks for, [`ScoreStage::Masked`](crate::ScoreStage::Masked) where it asks for
    /// none.
    pub scores: Vec<T>,
}

/// Attention in `f64`.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Inputs, Shape, Spec, reference};
/// let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 2, head_dim: 1, value_dim: 1 };
/// // The scores are 0 and log 3, so the weights are 1/4 and 3/4.
/// let k = [0.0, 3f32.ln()];
/// let inputs = Inputs::new(&[1.0], &k, &[8.0, 4.0]);
/// let out = reference::attention(&Spec::new(shape), &inputs).out;
/// approx::assert_relative_eq!(out[0], 8.0 / 4.0 + 4.0 * 3.0 / 4.0, max_relative = 1e-7);
/// ```
#[must_use]
pub fn attention(spec: &Spec, inputs: &Inputs<'_>) -> Outputs<f64> {
    accept(spec, inputs);
    exact(&Operands::new::<f64>(spec, inputs))
}

/// One row of [`attention`], for problems too large to compute whole. All 0 where it belongs to no sequence.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses, or there is no such row.
#[must_use]
pub fn row(spec: &Spec, inputs: &Inputs<'_>, batch: u32, head: u32, i: u32) -> Row<f64> {
    accept(spec, inputs);
    let shape = spec.shape();
    assert!(
        batch < shape.batch && head < shape.q_heads && i < shape.q_len,
        "no row ({batch}, {head}, {i}) in {shape:?}"
    );
    let operands = Operands::new::<f64>(spec, inputs);
    operands.query((batch, head, i)).map_or_else(|| Row::zero(spec), |query| formula::row(&query, Sum::Forwards))
}

impl Row<f64> {
    fn zero(spec: &Spec) -> Self {
        let zeros = |len: u32| vec![0.0; len as usize];
        let (out, keys) = (if spec.out { spec.shape().value_dim } else { 0 }, spec.shape().kv_len);
        Self { out: zeros(out), lse: 0.0, weights: zeros(keys), scores: zeros(keys) }
    }
}

fn exact(operands: &Operands<'_>) -> Outputs<f64> {
    collect(operands, |query| formula::row(query, Sum::Forwards))
}

fn accept(problem: impl Into<Problem>, inputs: &Inputs<'_>) {
    let problem = problem.into();
    if let Err(error) = problem.check().and_then(|()| inputs.check(problem)) {
        panic!("{error}");
    }
}
