//! Element types of tensors in memory.

use std::fmt;

use half::{bf16, f16};

/// How the elements of a tensor are stored. Arithmetic is f32 whatever the storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 single precision, 4 bytes.
    #[default]
    F32,
    /// IEEE 754 half precision, 2 bytes. Read and written as 16-bit floats where the device has them, else by unpacking
    /// 32-bit words.
    F16,
    /// bfloat16, the upper half of an f32, 2 bytes.
    Bf16,
    /// Unsigned integer, 4 bytes: lengths and positions.
    U32,
    /// A boolean in a byte: 0 is false, all else true.
    Bool,
    /// A boolean in a bit, the lowest bit of each 32-bit word first.
    Bit,
}

impl DType {
    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
            Self::Bool => "bool",
            Self::Bit => "bit",
        }
    }

    /// Bits of one element.
    #[must_use]
    pub const fn bits(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Bool => 8,
            Self::Bit => 1,
        }
    }

    /// Whether elements are numbers with a fraction.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The number that is stored for `x`: the nearest, ties to even.
    #[must_use]
    pub fn round(self, x: f32) -> f32 {
        match self {
            Self::F16 => f16::from_f32(x).to_f32(),
            Self::Bf16 => bf16::from_f32(x).to_f32(),
            _ => x,
        }
    }

    /// Rounds each number to the one that is stored for it.
    pub(crate) fn round_all(self, numbers: &mut [f32]) {
        numbers.iter_mut().for_each(|x| *x = self.round(*x));
    }

    /// The distance from 1 to the next number: twice the relative error of rounding.
    #[must_use]
    pub const fn epsilon(self) -> f64 {
        match self {
            Self::F16 => 9.765_625e-4,
            Self::Bf16 => 7.8125e-3,
            _ => f32::EPSILON as f64,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
