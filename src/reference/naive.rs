//! The formula in f32, as one would first write it.

use crate::{
    problem::{
        attention::spec::Spec,
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::{Sum, collect, row},
        operands::Operands,
    },
    tensor::Tensor,
};

/// Attention in f32: all scores of a row, their softmax, the sum of values, rounded to the type of out. What its error is, is
/// what these types cost.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn naive(spec: &Spec, inputs: &Inputs<'_>) -> Outputs<f32> {
    accept(spec, inputs);
    naive_by(&Operands::new::<f32>(spec, inputs), Sum::Forwards)
}

pub(super) fn naive_by(operands: &Operands<'_>, sum: Sum) -> Outputs<f32> {
    let mut outputs = collect(operands, |query| row(query, sum));
    if let Some(out) = outputs.get_mut(Tensor::Out) {
        operands.spec.types.out.round_all(out);
    }
    outputs
}
