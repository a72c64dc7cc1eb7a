//! How far two attentions are apart.

use crate::reference::{divergence::jensen_shannon, formula::Sum};

/// The Jensen-Shannon divergence of two rows of weights in nats, 0 for equal ones and at most `ln 2` (Lin 1991). Each row counts as
/// what it is of its sum, so that sinks do not matter; with a row without weight it is 0 if both are, else `ln 2`.
///
/// [`Divergence`](crate::Divergence) is the same for all rows, on the device.
///
/// ```
/// use wgpu_attention::inspect::divergence;
/// assert_eq!(divergence(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
/// approx::assert_relative_eq!(divergence(&[1.0, 0.0], &[0.0, 1.0]), 2f64.ln(), max_relative = 1e-12);
/// ```
#[must_use]
pub fn divergence(a: &[f32], b: &[f32]) -> f64 {
    jensen_shannon(a, b, Sum::Forwards)
}
