//! Element types of tensors in memory.

use std::fmt;

/// How the elements of a tensor are stored. Arithmetic is f32 whatever the storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE 754 single precision, 4 bytes.
    #[default]
    F32,
    /// IEEE 754 half precision, 2 bytes. Declared; planning refuses it with [`Error::NotBuilt`](crate::Error::NotBuilt).
    F16,
    /// bfloat16, the upper half of an f32, 2 bytes. Declared; planning refuses it with [`Error::NotBuilt`](crate::Error::NotBuilt).
    Bf16,
}

impl DType {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}
