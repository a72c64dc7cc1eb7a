//! The oracle of attention.

use crate::{
    problem::{
        attention::spec::Spec,
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::{self, Row, Sum, collect},
        operands::Operands,
    },
};

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
/// let outputs = reference::attention(&Spec::new(shape), &inputs);
/// approx::assert_relative_eq!(outputs.out()[0], 8.0 / 4.0 + 4.0 * 3.0 / 4.0, max_relative = 1e-7);
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

/// Attention of these operands in `f64`.
pub(super) fn exact(operands: &Operands<'_>) -> Outputs<f64> {
    collect(operands, |query| formula::row(query, Sum::Forwards))
}
