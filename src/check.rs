//! Every check of a spec that needs no device.

use crate::{
    dtype::DType,
    error::Error,
    mask::{MAX_LEN, Mask},
    shape::{Bits, MAX_DIM},
    spec::Spec,
};

impl Spec {
    /// Whether this crate can compute it, on a device that is large enough.
    ///
    /// Planning calls this first; call it yourself to check input early.
    pub fn check(&self) -> Result<(), Error> {
        self.check_sizes()?;
        self.check_numbers()?;
        self.check_built()?;
        if self.mask != Mask::FULL && self.align.is_none() {
            return Err(Error::Align);
        }
        self.check_layouts()
    }

    fn check_sizes(&self) -> Result<(), Error> {
        let s = &self.shape;
        for (name, got, max) in [
            ("batch", s.batch, u32::MAX),
            ("q_heads", s.q_heads, u32::MAX),
            ("kv_heads", s.kv_heads, u32::MAX),
            ("q_len", s.q_len, MAX_LEN),
            ("kv_len", s.kv_len, MAX_LEN),
            ("head_dim", s.head_dim, MAX_DIM),
            ("value_dim", s.value_dim, MAX_DIM),
        ] {
            if got == 0 {
                return Err(Error::Zero { name });
            }
            if got > max {
                return Err(Error::TooLarge { name, got: got.into(), max: max.into() });
            }
        }
        if !s.q_heads.is_multiple_of(s.kv_heads) {
            return Err(Error::Heads { q_heads: s.q_heads, kv_heads: s.kv_heads });
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Error> {
        for (name, number) in [("scale", self.scale), ("softcap", self.softcap)] {
            let got = number.map_or(0.0, Bits::get);
            if !got.is_finite() {
                return Err(Error::NotFinite { name, got: got.to_string() });
            }
        }
        Ok(())
    }

    /// Features that the API has and no kernel computes yet.
    fn check_built(&self) -> Result<(), Error> {
        let missing = [
            (self.types.q != DType::F32, "q_type other than f32"),
            (self.types.kv != DType::F32, "kv_type other than f32"),
            (self.types.out != DType::F32, "out_type other than f32"),
            (self.types.bias != DType::F32, "bias_type other than f32"),
            (self.softcap.is_some(), "softcap"),
            (self.bias.is_some(), "bias"),
            (self.keep.is_some(), "keep"),
            (self.alibi.is_some(), "alibi"),
            (self.sinks, "sinks"),
            (self.kv_lens, "kv_lens"),
            (self.append, "append"),
            (self.sequences.is_some(), "packed"),
            (self.block_mask.is_some(), "block_mask"),
        ];
        match missing.into_iter().find(|&(asked, _)| asked) {
            Some((_, feature)) => Err(Error::NotBuilt { feature }),
            None => Ok(()),
        }
    }

    fn check_layouts(&self) -> Result<(), Error> {
        for view in self.views() {
            view.extent()?;
            let (name, layout) = (view.tensor.name(), view.layout);
            if view.written && !layout.is_injective(view.sizes) {
                let (batch, head, row) = (layout.batch, layout.head, layout.row);
                return Err(Error::Strides { name, batch, head, row });
            }
        }
        Ok(())
    }
}
