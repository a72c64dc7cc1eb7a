//! How close an output came to the oracle, or where it is wrong.

use std::fmt;

use crate::{
    problem::values::Outputs,
    reference::tolerance::{Mismatch, Tolerance, error, largest},
    tensor::{Tensor, dtype::DType},
};

/// How close one output came to the oracle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Which output.
    pub tensor: Tensor,
    /// The largest difference found.
    pub error: f64,
    /// The largest difference allowed.
    pub limit: f64,
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.1e} ({:.1e} allowed)", self.tensor.name(), self.error, self.limit)
    }
}

/// The output that is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// Which output.
    pub tensor: Tensor,
    /// Where.
    pub mismatch: Mismatch,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tensor.name(), self.mismatch)
    }
}

impl std::error::Error for Wrong {}

/// Compares an output whose rows hold numbers of several kinds, side by side, with the oracle: each kind has a tolerance of its own,
/// whose floor is that of numbers of at least this magnitude.
pub(super) fn check_kinds(
    (tensor, kinds): (Tensor, usize),
    outputs: &Outputs<f32>,
    oracle: &Outputs<f64>,
    naive: &[Outputs<f32>; 2],
    least: f64,
) -> Result<Vec<Margin>, Wrong> {
    let (actual, expected) = (outputs.get(tensor).unwrap_or_default(), oracle.get(tensor).unwrap_or_default());
    let wrong = |mismatch| Wrong { tensor, mismatch };
    if actual.len() != expected.len() {
        return Tolerance::of(&[], &[]).check(actual, expected).map(|_| vec![]).map_err(wrong);
    }
    let one = |kind: usize| {
        let every = |data: &[f32]| data.iter().copied().skip(kind).step_by(kinds).collect::<Vec<_>>();
        let expected: Vec<f64> = expected.iter().copied().skip(kind).step_by(kinds).collect();
        let naive_error = naive.iter().map(|naive| error(&expected, &every(naive.get(tensor).unwrap_or_default())));
        let magnitude = largest(expected.iter().map(|x| x.abs())).max(least);
        let tolerance = Tolerance::from(naive_error.fold(0.0, f64::max), DType::F32, magnitude);
        let error = tolerance
            .check(&every(actual), &expected)
            .map_err(|mismatch| wrong(Mismatch { index: mismatch.index * kinds + kind, ..mismatch }))?;
        Ok(Margin { tensor, error, limit: tolerance.limit() })
    };
    (0..kinds).map(one).collect()
}
