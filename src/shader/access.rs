//! How the elements of a tensor are read and written.

use crate::tensor::{dtype::DType, view::View};

/// How the rows of a tensor are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    pub(crate) dtype: DType,
    /// As 16-bit floats, not as halves of 32-bit words.
    pub(crate) native: bool,
    /// Four elements at a time, not one.
    pub(crate) vec4: bool,
}

impl Access {
    /// The fastest access to a tensor on a device with or without 16-bit floats.
    pub(crate) fn of(view: &View, f16: bool) -> Self {
        Self { dtype: view.dtype, native: f16 && view.dtype == DType::F16, vec4: view.layout.is_vec4(view.sizes) }
    }

    /// Whether it needs 16-bit floats of the device.
    pub(crate) const fn needs_f16(self) -> bool {
        self.native
    }

    /// In words, for reports.
    pub(crate) const fn words(self) -> &'static str {
        match (self.dtype, self.native, self.vec4) {
            (DType::F16, true, true) => "f16, 4 per load",
            (DType::F16, true, false) => "f16, 1 per load",
            (DType::F16, false, true) => "f16 unpacked from words, 4 per load",
            (DType::F16, false, false) => "f16 unpacked from words, 1 per load",
            (DType::Bf16, _, true) => "bf16 unpacked from words, 4 per load",
            (DType::Bf16, _, false) => "bf16 unpacked from words, 1 per load",
            (_, _, true) => "f32, 4 per load",
            (_, _, false) => "f32, 1 per load",
        }
    }

    pub(crate) const fn halves(self) -> bool {
        matches!(self.dtype, DType::F16 | DType::Bf16) && !self.native
    }

    /// The WGSL type of one element of the array.
    pub(crate) const fn element(self) -> &'static str {
        match (self.halves(), self.native, self.vec4) {
            (true, _, true) => "vec2<u32>",
            (true, _, false) => "u32",
            (_, true, true) => "vec4<f16>",
            (_, true, false) => "f16",
            (_, _, true) => "vec4<f32>",
            (_, _, false) => "f32",
        }
    }
}
