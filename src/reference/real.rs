//! The numbers that the formula is computed in.

use std::{
    iter::Sum,
    ops::{Add, AddAssign, Div, Mul, Sub},
};

/// `f64` for the oracle, `f32` for the naive formula.
pub(crate) trait Real:
    Copy
    + Default
    + From<f32>
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + Sum
{
    const NEG_INFINITY: Self;
    fn of_integer(n: i64) -> Self;
    fn to_f32(self) -> f32;
    fn abs(self) -> Self;
    fn atan(self) -> Self;
    fn erf(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn atanh(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    fn max(self, other: Self) -> Self;
}

macro_rules! real {
    ($($T:ident)*) => {
        $(impl Real for $T {
            const NEG_INFINITY: Self = $T::NEG_INFINITY;

            fn of_integer(n: i64) -> Self {
                n as $T
            }

            fn to_f32(self) -> f32 {
                self as f32
            }

            fn abs(self) -> Self {
                $T::abs(self)
            }

            fn atan(self) -> Self {
                $T::atan(self)
            }

            fn erf(self) -> Self {
                erf(self.into()) as $T
            }

            fn exp(self) -> Self {
                $T::exp(self)
            }

            fn ln(self) -> Self {
                $T::ln(self)
            }

            fn ln_1p(self) -> Self {
                $T::ln_1p(self)
            }

            fn atanh(self) -> Self {
                $T::atanh(self)
            }

            fn sqrt(self) -> Self {
                $T::sqrt(self)
            }

            fn tanh(self) -> Self {
                $T::tanh(self)
            }

            fn max(self, other: Self) -> Self {
                $T::max(self, other)
            }
        })*
    };
}

real! { f32 f64 }

/// The error function: Abramowitz and Stegun, equation 7.1.6, whose terms have one sign. Past 6 it is 1 to the last bit.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..150 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

#[cfg(test)]
mod tests {
    use super::{Real, erf};

    #[test]
    fn the_error_function_is_that_of_the_tables() {
        // Abramowitz and Stegun, table 7.1.
        let table = [0.0, 0.112_462_916_0, 0.520_499_877_8, 0.842_700_792_9, 0.995_322_265_0];
        for (x, known) in [0.0, 0.1, 0.5, 1.0, 2.0].into_iter().zip(table) {
            assert!((erf(x) - known).abs() < 1e-10 && (erf(-x) + known).abs() < 1e-10, "{x}");
        }
        assert!((1.0 - erf(5.9)).abs() < 1e-13);
        assert_eq!((Real::erf(7f64), Real::erf(-7f32), Real::erf(0.5f32)), (1.0, -1.0, 0.520_499_9));
    }
}
