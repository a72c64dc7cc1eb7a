//! How far a result may be from the oracle.

use std::fmt;

use super::{attention, naive};
use crate::{
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
};

/// FlashAttention's rule: no worse than twice the error of the naive formula in the same type, plus a floor taken from the
/// data, two roundings of the largest expected value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    limit: f64,
}

/// Where a result is furthest outside its tolerance.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Index of the element; the shorter length where lengths differ.
    pub index: usize,
    /// What was found; NaN where lengths differ.
    pub actual: f64,
    /// What the oracle says.
    pub expected: f64,
    /// The largest difference allowed.
    pub limit: f64,
    /// How many elements are outside.
    pub outside: usize,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, actual, expected, limit, outside } = self;
        write!(f, "element {index} is {actual:.7e}, expected {expected:.7e} +- {limit:.1e}; {outside} elements outside")
    }
}

impl Tolerance {
    /// The tolerance of a result whose exact value is `expected` and whose naive one is `naive`.
    #[must_use]
    pub fn of(expected: &[f64], naive: &[f32]) -> Self {
        let largest = |values: &mut dyn Iterator<Item = f64>| values.filter(|x| x.is_finite()).fold(0.0, f64::max);
        let error = largest(&mut expected.iter().zip(naive).map(|(e, &n)| (e - f64::from(n)).abs()));
        let magnitude = largest(&mut expected.iter().map(|e| e.abs()));
        Self { limit: 2.0 * error + 2.0 * f64::from(f32::EPSILON) * magnitude }
    }

    /// The largest difference allowed.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// The largest difference between the two, or where they are too far apart. A NaN is too far from anything; an infinity
    /// must be the same infinity.
    pub fn check(&self, actual: &[f32], expected: &[f64]) -> Result<f64, Mismatch> {
        let nothing = Mismatch { index: 0, actual: f64::NAN, expected: f64::NAN, limit: self.limit, outside: 0 };
        if actual.len() != expected.len() {
            let (index, outside) = (actual.len().min(expected.len()), actual.len().abs_diff(expected.len()));
            return Err(Mismatch { index, outside, ..nothing });
        }
        let (mut worst, mut largest, mut outside) = (nothing, 0.0, 0);
        for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
            let actual = f64::from(actual);
            let error = if actual == expected { 0.0 } else { (actual - expected).abs() };
            let accepted = error <= self.limit; // false for NaN
            if !accepted {
                outside += 1;
            }
            if !accepted && outside == 1 || error > largest {
                largest = error;
                worst = Mismatch { index, actual, expected, ..worst };
            }
        }
        if outside == 0 { Ok(largest) } else { Err(Mismatch { outside, ..worst }) }
    }
}

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

/// Compares every output that the spec asks for with the oracle; an output that is absent is wrong.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
pub fn check(spec: &Spec, inputs: &Inputs<'_>, outputs: &Outputs<f32>) -> Result<Vec<Margin>, Wrong> {
    let (oracle, naive) = (attention(spec, inputs), naive(spec, inputs));
    let compare = |tensor| {
        let (expected, naive) = (oracle.get(tensor)?, naive.get(tensor)?);
        let tolerance = Tolerance::of(expected, naive);
        Some(match tolerance.check(outputs.get(tensor).unwrap_or_default(), expected) {
            Ok(error) => Ok(Margin { tensor, error, limit: tolerance.limit() }),
            Err(mismatch) => Err(Wrong { tensor, mismatch }),
        })
    };
    Tensor::ALL.into_iter().filter_map(compare).collect()
}
