//! Partial results into the whole.

use crate::{
    problem::{
        Problem,
        merge::Merge,
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::Sum,
        real::Real,
        stored::{Stored, blank, places, put},
    },
    tensor::Tensor,
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
/// let outputs = reference::merge(&Merge::new(2, [1, 1, 1, 1]), &inputs);
/// approx::assert_relative_eq!(outputs.out()[0], 8.0 / 4.0 + 4.0 * 3.0 / 4.0, max_relative = 1e-7);
/// ```
#[must_use]
pub fn merge(merge: &Merge, inputs: &Inputs<'_>) -> Outputs<f64> {
    accept(merge, inputs);
    merged(merge, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_merge(merge: &Merge, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut outputs = merged(merge, inputs, order);
    if let Some(out) = outputs.get_mut(Tensor::Out) {
        merge.out_view().dtype.round_all(out);
    }
    outputs
}

pub(super) fn merged<T: Real>(merge: &Merge, inputs: &Inputs<'_>, order: Sum) -> Outputs<T> {
    let [parts, lses] = [merge.parts_view(), merge.part_lses_view()].map(|view| Stored::floats(view, inputs));
    let sinks = inputs.get_floats(Tensor::Sinks);
    let [batch, ..] = merge.sizes();
    let mut outputs = blank(Problem::from(merge).views());
    for (b, h, i) in places(merge.sizes()) {
        let seen = (0..merge.parts).map(|part| (part * batch + b, h, i));
        let seen = seen.map(|place| (parts.row(place), lses.row(place)[0]));
        let seen = order.of(seen.filter(|&(_, lse)| lse > f32::NEG_INFINITY));
        let mut row = vec![T::default(); merge.sizes()[3] as usize];
        let row_lse = one(&seen, sinks.get(h as usize).copied(), order, &mut row);
        put(&mut outputs, merge.view(Tensor::Out), (b, h, i), &row);
        put(&mut outputs, merge.view(Tensor::Lse), (b, h, i), &[row_lse]);
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
