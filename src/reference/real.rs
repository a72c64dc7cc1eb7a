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
