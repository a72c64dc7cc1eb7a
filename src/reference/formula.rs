//! The formula, for every number type.

use super::{
    Row,
    operands::{Operands, Query},
    real::Real,
    stored::{places, write, zeros},
};
use crate::{
    shape::ScoreStage,
    tensor::{Outputs, Tensor},
};

/// In which order a sum goes, or of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// First term first.
    Forwards,
    /// Last term first: the other of two equally good ways, which rounds differently.
    Backwards,
    /// Of magnitudes, those of values and of the two terms of a log-sum-exp: how large what is added is.
    Magnitudes,
}

impl Sum {
    /// Terms in the order in which they are added.
    pub(super) fn of<X>(self, terms: impl Iterator<Item = X>) -> Vec<X> {
        let mut terms: Vec<X> = terms.collect();
        if self == Self::Backwards {
            terms.reverse();
        }
        terms
    }

    /// What is added of a value.
    pub(super) fn term(self, value: f32) -> f32 {
        if self == Self::Magnitudes { value.abs() } else { value }
    }

    /// What is added of a number that is computed.
    pub(super) fn size<T: Real>(self, x: T) -> T {
        if self == Self::Magnitudes { x.abs() } else { x }
    }

    /// The log-sum-exp of exponentials that were divided by that of the highest.
    pub(super) fn lse<T: Real>(self, highest: T, sum: T) -> T {
        if self == Self::Magnitudes { highest.abs() + sum.ln().abs() } else { highest + sum.ln() }
    }

    fn sum<T: Real>(self, terms: Vec<T>) -> T {
        let terms = terms.into_iter();
        if self == Self::Backwards { terms.rev().sum() } else { terms.sum() }
    }
}

/// A row: scores, their softmax, the sum of values.
pub(super) fn row<T: Real>(query: &Query<'_>, order: Sum) -> Row<T> {
    let spec = query.operands.spec;
    let scores = query.scores(ScoreStage::Masked, |terms| order.sum(terms));
    let seen = order.of(query.seen().map(|j| j as usize));
    let highest = seen.iter().map(|&j| scores[j]).fold(T::NEG_INFINITY, T::max);
    let mut weights = vec![T::default(); scores.len()];
    seen.iter().for_each(|&j| weights[j] = (scores[j] - highest).exp());
    let sum: T = seen.iter().map(|&j| weights[j]).sum();
    let total = query.sink.map_or(sum, |sink| sum + (T::from(sink) - highest).exp());
    seen.iter().for_each(|&j| weights[j] = weights[j] / total);
    let mut out = vec![T::default(); if spec.out { spec.shape().value_dim as usize } else { 0 }];
    // Without out, values may not be there.
    for j in seen.into_iter().filter(|_| spec.out) {
        let value = query.value(j as u32);
        out.iter_mut().zip(value).for_each(|(out, &v)| *out += weights[j] * order.term(v).into());
    }
    let scores = match spec.scores {
        None | Some(ScoreStage::Masked) => scores,
        Some(stage) => query.scores(stage, |terms| order.sum(terms)),
    };
    Row { out, lse: order.lse(highest, sum), weights, scores }
}

/// The outputs of a problem from its rows. Rows of no sequence stay 0.
pub(super) fn collect<T: Real>(operands: &Operands<'_>, row: impl Fn(&Query<'_>) -> Row<T>) -> Outputs<T> {
    let spec = operands.spec;
    let [out, lse, weights, scores] =
        [Tensor::Out, Tensor::Lse, Tensor::Weights, Tensor::Scores].map(|tensor| spec.view(tensor));
    let mut outputs = Outputs::of(out.as_ref().map(zeros).unwrap_or_default());
    [outputs.lse, outputs.weights, outputs.scores] = [&lse, &weights, &scores].map(|view| view.as_ref().map(zeros));
    [outputs.k, outputs.v] = operands.grown();
    let [heads, rows] = spec.only_or_all();
    let shape = spec.shape();
    for (b, h, i) in places([shape.batch, shape.q_heads, shape.q_len, 1]) {
        let watched = heads.contains(&h) && rows.contains(&i);
        if !(watched || spec.out || spec.lse) {
            continue;
        }
        let Some(query) = operands.query((b, h, i)) else { continue };
        let row = row(&query);
        out.iter().for_each(|view| write(view, &mut outputs.out, (b, h, i), &row.out));
        lse.iter().zip(&mut outputs.lse).for_each(|(view, data)| write(view, data, (b, h, i), &[row.lse]));
        if watched {
            let place = (b, h - heads.start, i - rows.start);
            let pairs = [(&weights, &mut outputs.weights, &row.weights), (&scores, &mut outputs.scores, &row.scores)];
            for (view, data, values) in pairs {
                view.iter().zip(data).for_each(|(view, data)| write(view, data, place, values));
            }
        }
    }
    outputs
}
