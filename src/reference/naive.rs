//! The formula in f32, as one would first write it.

use super::{read, rows, write};
use crate::{
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
};

/// Attention in f32: all scores of a row, their softmax, the sum of values. What its error is, is what f32 costs.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn naive(spec: &Spec, inputs: &Inputs<'_>) -> Outputs<f32> {
    super::check(spec, inputs);
    let room = |tensor| spec.view(tensor).map(|view| vec![0.0; view.extent().unwrap_or(0) as usize]);
    let mut outputs = Outputs {
        out: room(Tensor::Out).unwrap_or_default(),
        lse: room(Tensor::Lse),
        weights: room(Tensor::Weights),
        scores: room(Tensor::Scores),
    };
    let shape = *spec.shape();
    for (batch, head, i) in rows(spec) {
        let kv_head = head / (shape.q_heads / shape.kv_heads);
        let q = read(spec, Tensor::Q, inputs.q, (batch, head, i));
        let score = |j| {
            let key = read(spec, Tensor::K, inputs.k, (batch, kv_head, j));
            spec.scale_or_default() * q.iter().zip(key).map(|(q, k)| q * k).sum::<f32>()
        };
        let scores: Vec<f32> = (0..shape.kv_len).map(score).collect();
        let masked: Vec<f32> =
            (0..).zip(&scores).map(|(j, &s)| if spec.sees(i, j) { s } else { f32::NEG_INFINITY }).collect();
        let highest = masked.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let some = highest > f32::NEG_INFINITY;
        let mut weights: Vec<f32> = masked.iter().map(|s| if some { (s - highest).exp() } else { 0.0 }).collect();
        let sum: f32 = weights.iter().sum();
        if some {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        let mut out = vec![0.0; shape.value_dim as usize];
        for (j, weight) in (0..).zip(&weights).filter(|&(j, _)| spec.sees(i, j)) {
            let value = read(spec, Tensor::V, inputs.v, (batch, kv_head, j));
            out.iter_mut().zip(value).for_each(|(out, v)| *out += weight * v);
        }
        let staged = if spec.scores == Some(crate::spec::ScoreStage::Masked) { &masked } else { &scores };
        write(spec, Tensor::Out, Some(&mut outputs.out), (batch, head, i), &out);
        write(spec, Tensor::Lse, outputs.lse.as_mut(), (batch, head, i), &[highest + sum.ln()]);
        write(spec, Tensor::Weights, outputs.weights.as_mut(), (batch, head, i), &weights);
        write(spec, Tensor::Scores, outputs.scores.as_mut(), (batch, head, i), staged);
    }
    outputs
}
