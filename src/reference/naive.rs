//! The formula in f32, as one would first write it.

use super::{
    formula::{Sum, collect, row},
    operands::Operands,
    stored::round,
};
use crate::{
    spec::Spec,
    tensor::{Inputs, Outputs},
};

/// Attention in f32: all scores of a row, their softmax, the sum of values, rounded to the type of out. What its error is, is
/// what these types cost.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn naive(spec: &Spec, inputs: &Inputs<'_>) -> Outputs<f32> {
    super::accept(spec, inputs);
    naive_by(&Operands::new::<f32>(spec, inputs), Sum::Forwards)
}

pub(super) fn naive_by(operands: &Operands<'_>, sum: Sum) -> Outputs<f32> {
    let mut outputs = collect(operands, |query| row(query, sum));
    round(operands.spec.types.out, &mut outputs.out);
    outputs
}
