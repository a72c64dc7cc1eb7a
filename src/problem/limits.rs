//! Limits that several problems share, and the checks of numbers against them.

use crate::{error::Error, tensor::dtype::DType};

/// Largest `head_dim` and `value_dim`.
pub const MAX_DIM: u32 = 512;

/// Longest `q_len` and `kv_len`: positions, and sums of two of them, fit the shaders' 32-bit integers.
pub const MAX_LEN: u32 = 1 << 29;

/// Most elements of a row of [`Linear`](crate::Linear), [`Norm`](crate::Norm) and [`Embed`](crate::Embed): 1,048,576, above every
/// width and every vocabulary that is in use, and small enough for the work of one tile to stay below every watchdog.
pub const MAX_WIDTH: u32 = 1 << 20;

/// A finite f32 that can be a key: equal when its bits are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bits(u32);

impl Bits {
    pub(crate) const fn of(x: f32) -> Self {
        Self(x.to_bits())
    }

    pub(crate) const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// Whether a size is from 1 to its limit.
pub(crate) fn check_size(name: &'static str, got: u32, max: u32) -> Result<(), Error> {
    match got {
        0 => Err(Error::Zero { name }),
        _ if got > max => Err(Error::TooLarge { name, got: got.into(), max: max.into() }),
        _ => Ok(()),
    }
}

/// Whether an element type is a float.
pub(crate) fn check_float(name: &'static str, dtype: DType) -> Result<(), Error> {
    if dtype.is_float() { Ok(()) } else { Err(Error::Type { name, got: dtype.name(), wanted: "f32, f16 or bf16" }) }
}
