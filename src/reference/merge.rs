//! Partial results into the whole.

use super::{
    formula::Sum,
    real::Real,
    stored::{Stored, places, round, write, zeros},
};
use crate::{
    merge::Merge,
    tensor::{Inputs, Outputs, Tensor},
};

/// A [`Merge`] in `f64`.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Data, Inputs, Merge, Tensor, reference};
/// // Two parts whose sums of exponentials are 1 and 3, so that their weights are 1/4 and 3/4.
/// let (parts, lses) = ([8.0, 4.0], [0.0, 3f32.ln()]);
/// let inputs = Inputs::default()
///     .set(Tensor::Parts, Data::Floats(&parts))
///     .set(Tensor::PartLses, Data::Floats(&lses));
/// let out = reference::merge(&Merge::new(2, [1, 1, 1, 1]), &inputs).out;
/// approx::assert_relative_eq!(out[0], 8.0 / 4.0 + 4.0 * 3.0 / 4.0, max_relative = 1e-7);
/// ```
#[must_use]
pub fn merge(merge: &Merge, inputs: &Inputs<'_>) -> Outputs<f64> {
    super::accept(merge, inputs);
    merged(merge, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_merge(merge: &Merge, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut outputs = merged(merge, inputs, order);
    merge.view(Tensor::Out).iter().for_each(|view| round(view.dtype, &mut outputs.out));
    outputs
}

pub(super) fn merged<T: Real>(merge: &Merge, inputs: &Inputs<'_>, order: Sum) -> Outputs<T> {
    let stored = |tensor| Stored::floats(merge.view(tensor).expect("it has parts"), inputs);
    let (parts, lses) = (stored(Tensor::Parts), stored(Tensor::PartLses));
    let sinks = inputs.get_floats(Tensor::Sinks);
    let [batch, ..] = merge.sizes();
    let [out, lse] = [Tensor::Out, Tensor::Lse].map(|tensor| merge.view(tensor));
    let mut outputs = Outputs::of(out.as_ref().map(zeros).unwrap_or_default());
    outputs.lse = lse.as_ref().map(zeros);
    for (b, h, i) in places(merge.sizes()) {
        let seen = (0..merge.parts).map(|part| (part * batch + b, h, i));
        let seen = seen.map(|place| (parts.row(place), lses.row(place)[0]));
        let seen = order.of(seen.filter(|&(_, lse)| lse > f32::NEG_INFINITY));
        let mut row = vec![T::default(); merge.sizes()[3] as usize];
        let row_lse = one(&seen, sinks.get(h as usize).copied(), order, &mut row);
        out.iter().for_each(|view| write(view, &mut outputs.out, (b, h, i), &row));
        lse.iter().zip(&mut outputs.lse).for_each(|(view, data)| write(view, data, (b, h, i), &[row_lse]));
    }
    outputs
}

/// One row, of the parts that see a key; gives its log-sum-exp.
fn one<T: Real>(seen: &[(&[f32], f32)], sink: Option<f32>, order: Sum, row: &mut [T]) -> T {
    let highest = seen.iter().map(|&(_, lse)| lse.into()).fold(T::NEG_INFINITY, T::max);
    let exp = |lse: f32| (T::from(lse) - highest).exp();
    let sum: T = seen.iter().map(|&(_, lse)| exp(lse)).sum();
    let total = sink.map_or(sum, |sink| sum + exp(sink));
    for &(part, lse) in seen {
        let weight = exp(lse) / total;
        row.iter_mut().zip(part).for_each(|(row, &x)| *row += weight * order.term(x).into());
    }
    order.lse(highest, sum)
}
