//! The formula, for every number type.

use crate::{
    problem::{
        attention::{shape::ScoreStage, spec::Spec},
        values::Outputs,
    },
    reference::{
        operands::{Operands, Query},
        real::Real,
        stored::{blank, places, put},
    },
    tensor::Tensor,
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

impl Row<f64> {
    /// A row that belongs to no sequence.
    pub(super) fn zero(spec: &Spec) -> Self {
        let zeros = |len: u32| vec![0.0; len as usize];
        let (out, keys) = (if spec.out { spec.shape().value_dim } else { 0 }, spec.shape().kv_len);
        Self { out: zeros(out), lse: 0.0, weights: zeros(keys), scores: zeros(keys) }
    }
}

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
    let mut outputs = blank(spec.views());
    for (cache, data) in operands.grown() {
        outputs.set(cache, data);
    }
    let [heads, rows] = spec.only_or_all();
    let shape = spec.shape();
    for (b, h, i) in places([shape.batch, shape.q_heads, shape.q_len, 1]) {
        let watched = heads.contains(&h) && rows.contains(&i);
        if !(watched || spec.out || spec.lse) {
            continue;
        }
        let Some(query) = operands.query((b, h, i)) else { continue };
        let row = row(&query);
        let mut put = |tensor, place, values: &[T]| put(&mut outputs, spec.view(tensor), place, values);
        put(Tensor::Out, (b, h, i), &row.out);
        put(Tensor::Lse, (b, h, i), &[row.lse]);
        if watched {
            let place = (b, h - heads.start, i - rows.start);
            put(Tensor::Weights, place, &row.weights);
            put(Tensor::Scores, place, &row.scores);
        }
    }
    outputs
}
