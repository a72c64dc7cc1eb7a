//! How far a result may be from the oracle.

use std::fmt;

use super::{
    attention,
    naive::{Sum, naive_by},
};
use crate::{
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
};

/// FlashAttention's rule: no worse than twice the error of the naive formula in the same type, plus a floor taken from the
/// data, two roundings of the largest value.
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
        let magnitude = largest(expected.iter().map(|e| e.abs()));
        Self::from(error(expected, naive), magnitude)
    }

    fn from(naive_error: f64, magnitude: f64) -> Self {
        Self { limit: 2.0 * naive_error + 2.0 * f64::from(f32::EPSILON) * magnitude }
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

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|x| x.is_finite()).fold(0.0, f64::max)
}

fn error(expected: &[f64], actual: &[f32]) -> f64 {
    largest(expected.iter().zip(actual).map(|(e, &a)| (e - f64::from(a)).abs()))
}

/// The tolerance of every output of a problem, `oracle` being what [`attention`] says of it.
///
/// A few numbers may come out of one summation with no error at all, by luck. So the naive error is the larger of two, summed
/// forwards and backwards, and the floor of `out` counts the terms of its sums, not what is left when they cancel. Of 12,000
/// right results of problems with at most 40 keys, one order and the plain floor refused 82, this none.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn tolerances(spec: &Spec, inputs: &Inputs<'_>, oracle: &Outputs<f64>) -> Vec<(Tensor, Tolerance)> {
    let [forwards, backwards, terms] =
        [Sum::Forwards, Sum::Backwards, Sum::Magnitudes].map(|sum| naive_by(spec, inputs, sum));
    let tolerance = |tensor| {
        let expected = oracle.get(tensor)?;
        let naive_error = error(expected, forwards.get(tensor)?).max(error(expected, backwards.get(tensor)?));
        let magnitude = match tensor {
            Tensor::Out => largest(terms.out.iter().map(|&x| x.into())),
            _ => largest(expected.iter().map(|e| e.abs())),
        };
        Some((tensor, Tolerance::from(naive_error, magnitude)))
    };
    Tensor::ALL.into_iter().filter_map(tolerance).collect()
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
    let oracle = attention(spec, inputs);
    let compare = |(tensor, tolerance): (_, Tolerance)| {
        let found = tolerance.check(outputs.get(tensor).unwrap_or_default(), oracle.get(tensor).unwrap_or_default());
        match found {
            Ok(error) => Ok(Margin { tensor, error, limit: tolerance.limit() }),
            Err(mismatch) => Err(Wrong { tensor, mismatch }),
        }
    };
    tolerances(spec, inputs, &oracle).into_iter().map(compare).collect()
}
