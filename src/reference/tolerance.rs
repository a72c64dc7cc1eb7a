//! How far a result may be from what is right.

use std::fmt;

use crate::tensor::dtype::DType;

/// FlashAttention's rule: no worse than twice the error of the naive formula in the same type, plus a floor taken from the
/// data, two roundings of the largest value to the type of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    limit: f64,
    /// Whether a NaN is right where the oracle has one: in what lies past the lengths of a cache.
    nan: bool,
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
    /// The tolerance of an f32 result whose exact value is `expected` and whose naive one is `naive`.
    #[must_use]
    pub fn of(expected: &[f64], naive: &[f32]) -> Self {
        let magnitude = largest(expected.iter().map(|e| e.abs()));
        Self::from(error(expected, naive), DType::F32, magnitude)
    }

    pub(super) fn from(naive_error: f64, dtype: DType, magnitude: f64) -> Self {
        Self { limit: 2.0 * naive_error + 2.0 * dtype.epsilon() * magnitude, nan: false }
    }

    /// The same of a cache, which may hold a NaN where the oracle has one.
    pub(super) fn of_cache(dtype: DType, magnitude: f64) -> Self {
        Self { nan: true, ..Self::from(0.0, dtype, magnitude) }
    }

    /// The largest difference allowed.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// The largest difference between the two, or where they are too far apart. A NaN is too far from anything; an infinity
    /// must be the same infinity. In a cache, a NaN is the NaN that lay there.
    pub fn check(&self, actual: &[f32], expected: &[f64]) -> Result<f64, Mismatch> {
        let nothing = Mismatch { index: 0, actual: f64::NAN, expected: f64::NAN, limit: self.limit, outside: 0 };
        if actual.len() != expected.len() {
            let (index, outside) = (actual.len().min(expected.len()), actual.len().abs_diff(expected.len()));
            return Err(Mismatch { index, outside, ..nothing });
        }
        let (mut worst, mut largest, mut outside) = (nothing, 0.0, 0);
        for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
            let actual = f64::from(actual);
            let same = actual == expected || self.nan && actual.is_nan() && expected.is_nan();
            let error = if same { 0.0 } else { (actual - expected).abs() };
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

pub(super) fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|x| x.is_finite()).fold(0.0, f64::max)
}

pub(super) fn error(expected: &[f64], actual: &[f32]) -> f64 {
    largest(expected.iter().zip(actual).map(|(e, &a)| (e - f64::from(a)).abs()))
}
