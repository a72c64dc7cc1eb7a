//! The formula in f32, as one would first write it.

use super::{Place, Row, collect, read, staged};
use crate::{
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
};

/// In which order a sum goes, or of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    /// First term first.
    Forwards,
    /// Last term first: the other of two equally good ways, which rounds differently.
    Backwards,
    /// Of the values without their signs: how large the terms of an output are.
    Magnitudes,
}

/// Attention in f32: all scores of a row, their softmax, the sum of values. What its error is, is what f32 costs.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn naive(spec: &Spec, inputs: &Inputs<'_>) -> Outputs<f32> {
    naive_by(spec, inputs, Sum::Forwards)
}

pub(super) fn naive_by(spec: &Spec, inputs: &Inputs<'_>, sum: Sum) -> Outputs<f32> {
    super::accept(spec, inputs);
    collect(spec, |place| compute(spec, inputs, place, sum))
}

fn compute(spec: &Spec, inputs: &Inputs<'_>, (batch, head, i): Place, order: Sum) -> Row<f32> {
    let shape = spec.shape();
    let kv_head = head / (shape.q_heads / shape.kv_heads);
    let q = read(spec, Tensor::Q, inputs.q, (batch, head, i));
    let score = |j| {
        let products = q.iter().zip(read(spec, Tensor::K, inputs.k, (batch, kv_head, j))).map(|(q, k)| q * k);
        spec.scale_or_default() * if order == Sum::Backwards { products.rev().sum::<f32>() } else { products.sum() }
    };
    let scores: Vec<f32> = (0..shape.kv_len).map(score).collect();
    let mut seen: Vec<u32> = (0..shape.kv_len).filter(|&j| spec.sees(i, j)).collect();
    if order == Sum::Backwards {
        seen.reverse();
    }
    let highest = seen.iter().map(|&j| scores[j as usize]).fold(f32::NEG_INFINITY, f32::max);
    let mut weights = vec![0.0; scores.len()];
    seen.iter().for_each(|&j| weights[j as usize] = (scores[j as usize] - highest).exp());
    let sum: f32 = seen.iter().map(|&j| weights[j as usize]).sum();
    let mut out = vec![0.0; shape.value_dim as usize];
    for j in seen {
        weights[j as usize] /= sum;
        let value = read(spec, Tensor::V, inputs.v, (batch, kv_head, j));
        let term = |v: f32| weights[j as usize] * if order == Sum::Magnitudes { v.abs() } else { v };
        out.iter_mut().zip(value).for_each(|(out, &v)| *out += term(v));
    }
    Row { out, lse: highest + sum.ln(), weights, scores: staged(spec, i, scores, f32::NEG_INFINITY) }
}
