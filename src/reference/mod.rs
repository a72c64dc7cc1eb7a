//! What the kernels must compute, on the CPU.
//!
//! [`attention`] is the oracle: `f64`, written from the formula, slow and easy to believe. [`naive`] is the same formula in
//! f32, whose error says what f32 costs; [`Tolerance`] is made of the two, and
//! [`check`] holds all outputs of a problem to it. [`tiled`] is the twin of the prefill kernel: same
//! tiles, same order.

mod naive;
mod tiled;
mod tolerance;

pub use self::{
    naive::naive,
    tiled::{Tiles, tiled},
    tolerance::{Margin, Mismatch, Tolerance, Wrong, check, tolerances},
};
use crate::{
    shape::ScoreStage,
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
    view::View,
};

/// One query row of one head of one batch item.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// Output, `value_dim` elements.
    pub out: Vec<T>,
    /// Log-sum-exp, natural logarithm; -inf where the row sees no key.
    pub lse: T,
    /// Weight of each key.
    pub weights: Vec<T>,
    /// `scale * dot(q, k)` of each key; -inf for a hidden key where the spec asks for [`ScoreStage::Masked`].
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
    collect(spec, |place| compute(spec, inputs, place))
}

/// One row of [`attention`], for problems too large to compute whole.
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
    compute(spec, inputs, (batch, head, i))
}

fn compute(spec: &Spec, inputs: &Inputs<'_>, (batch, head, i): Place) -> Row<f64> {
    let shape = spec.shape();
    let kv_head = head / (shape.q_heads / shape.kv_heads);
    let q = read(spec, Tensor::Q, inputs.q, (batch, head, i));
    let key = |j| read(spec, Tensor::K, inputs.k, (batch, kv_head, j));
    let scale = f64::from(spec.scale_or_default());
    let scores: Vec<f64> = (0..shape.kv_len).map(|j| scale * dot(q, key(j))).collect();
    let seen: Vec<usize> = (0..shape.kv_len).filter(|&j| spec.sees(i, j)).map(|j| j as usize).collect();
    let highest = seen.iter().map(|&j| scores[j]).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = seen.iter().map(|&j| (scores[j] - highest).exp()).sum();
    let mut weights = vec![0.0; scores.len()];
    let mut out = vec![0.0; shape.value_dim as usize];
    for j in seen {
        weights[j] = (scores[j] - highest).exp() / sum;
        let value = read(spec, Tensor::V, inputs.v, (batch, kv_head, j as u32));
        out.iter_mut().zip(value).for_each(|(out, &v)| *out += weights[j] * f64::from(v));
    }
    let lse = if sum > 0.0 { highest + sum.ln() } else { f64::NEG_INFINITY };
    Row { out, lse, weights, scores: staged(spec, i, scores, f64::NEG_INFINITY) }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The scores of a row at the stage that the spec asks for.
fn staged<T>(spec: &Spec, i: u32, mut scores: Vec<T>, hidden: T) -> Vec<T>
where
    T: Copy,
{
    if spec.scores == Some(ScoreStage::Masked) {
        (0..).zip(&mut scores).filter(|&(j, _)| !spec.sees(i, j)).for_each(|(_, score)| *score = hidden);
    }
    scores
}

fn accept(spec: &Spec, inputs: &Inputs<'_>) {
    if let Err(error) = spec.check().and_then(|()| inputs.check(spec)) {
        panic!("{error}");
    }
}

/// Batch item, query head (or key head), query (or key).
type Place = (u32, u32, u32);

/// The outputs of a problem from its rows.
fn collect<T: Copy + Default>(spec: &Spec, mut row: impl FnMut(Place) -> Row<T>) -> Outputs<T> {
    let room = |tensor| spec.view(tensor).map(|view| vec![T::default(); view.extent().unwrap_or(0) as usize]);
    let mut outputs = Outputs {
        out: room(Tensor::Out).unwrap_or_default(),
        lse: room(Tensor::Lse),
        weights: room(Tensor::Weights),
        scores: room(Tensor::Scores),
    };
    let shape = *spec.shape();
    let heads = (0..shape.batch).flat_map(|batch| (0..shape.q_heads).map(move |head| (batch, head)));
    for place in heads.flat_map(|(batch, head)| (0..shape.q_len).map(move |i| (batch, head, i))) {
        let row = row(place);
        write(spec, Tensor::Out, Some(&mut outputs.out), place, &row.out);
        write(spec, Tensor::Lse, outputs.lse.as_mut(), place, &[row.lse]);
        write(spec, Tensor::Weights, outputs.weights.as_mut(), place, &row.weights);
        write(spec, Tensor::Scores, outputs.scores.as_mut(), place, &row.scores);
    }
    outputs
}

fn start(view: &View, (batch, head, i): Place) -> usize {
    let at = view.layout;
    (at.offset + u64::from(batch) * at.batch + u64::from(head) * at.head + u64::from(i) * at.row) as usize
}

fn read<'a>(spec: &Spec, tensor: Tensor, data: &'a [f32], place: Place) -> &'a [f32] {
    spec.view(tensor).map_or(&[], |view| &data[start(&view, place)..][..view.sizes[3] as usize])
}

fn write<T: Copy>(spec: &Spec, tensor: Tensor, data: Option<&mut Vec<T>>, place: Place, values: &[T]) {
    if let (Some(view), Some(data)) = (spec.view(tensor), data) {
        data[start(&view, place)..][..values.len()].copy_from_slice(values);
    }
}
