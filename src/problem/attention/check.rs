//! Every check of a spec that needs no device.

use crate::{
    error::Error,
    problem::{
        attention::{mask::Mask, spec::Spec},
        limits::{Bits, MAX_DIM, MAX_LEN, check_float, check_size},
    },
    tensor::dtype::DType,
};

/// The largest softcap: of a larger one, scores divided by it would be subnormal, which a device may take for 0.
const MAX_SOFTCAP: f32 = 1e30;

impl Spec {
    /// All that [`check`](Self::check) looks at, but the tensors.
    pub(crate) fn check_values(&self) -> Result<(), Error> {
        self.check_sizes()?;
        self.check_numbers()?;
        self.check_types()?;
        self.check_together()?;
        self.check_block_mask()?;
        self.grid.map_or(Ok(()), |grid| grid.check(&self.shape))?;
        if (self.mask != Mask::FULL || self.alibi.is_some()) && self.align.is_none() {
            return Err(Error::Align);
        }
        if !self.out && !self.lse && !self.weights && self.scores.is_none() {
            return Err(Error::NoOutput);
        }
        self.check_only()
    }

    fn check_sizes(&self) -> Result<(), Error> {
        let s = &self.shape;
        check_size("batch", s.batch, u32::MAX)?;
        check_size("q_heads", s.q_heads, u32::MAX)?;
        check_size("kv_heads", s.kv_heads, u32::MAX)?;
        check_size("q_len", s.q_len, MAX_LEN)?;
        check_size("kv_len", s.kv_len, MAX_LEN)?;
        check_size("head_dim", s.head_dim, MAX_DIM)?;
        check_size("value_dim", s.value_dim, MAX_DIM)?;
        if !s.q_heads.is_multiple_of(s.kv_heads) {
            return Err(Error::Heads { q_heads: s.q_heads, kv_heads: s.kv_heads });
        }
        for (name, tensor) in [("columns of bias", self.bias), ("columns of keep", self.keep)] {
            check_size(name, tensor.map_or(1, |tensor| tensor.columns), s.kv_len)?;
        }
        check_size("sequences", self.sequences.unwrap_or(1), MAX_LEN)?;
        if let Some(append) = self.append {
            check_size("rows to append", append.len, s.kv_len)?;
            append.rotary.map_or(Ok(()), |rotary| rotary.check_append(s, append.len))?;
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Error> {
        for (name, number) in [("scale", self.scale), ("softcap", self.softcap)] {
            let got = number.map_or(0.0, Bits::get);
            if !got.is_finite() {
                return Err(Error::NotFinite { name, got: got.to_string() });
            }
            if got != 0.0 && !got.is_normal() {
                return Err(Error::Subnormal { name, got: format!("{got:e}") });
            }
        }
        if let Some(cap) = self.softcap.map(Bits::get).filter(|cap| cap.abs() > MAX_SOFTCAP) {
            return Err(Error::Softcap { got: format!("{cap:e}"), max: format!("{MAX_SOFTCAP:e}") });
        }
        match self.softcap.map(Bits::get) {
            Some(0.0) => Err(Error::Zero { name: "softcap" }),
            _ => Ok(()),
        }
    }

    fn check_types(&self) -> Result<(), Error> {
        check_float("q_type", self.types.q)?;
        check_float("kv_type", self.types.kv)?;
        check_float("out_type", self.types.out)?;
        check_float("bias_type", self.types.bias)?;
        check_float("new_type", self.types.new.unwrap_or_default())?;
        match self.types.keep {
            DType::Bool | DType::Bit => Ok(()),
            dtype => Err(Error::Type { name: "keep_type", got: dtype.name(), wanted: "bool or bit" }),
        }
    }

    /// A block mask of other sizes would say something of other pairs.
    fn check_block_mask(&self) -> Result<(), Error> {
        let (Some(form), s) = (self.block_mask, &self.shape) else { return Ok(()) };
        form.check()?;
        let heads = if form.heads == 1 { 1 } else { s.q_heads };
        for (name, got, needs) in
            [("q_len", form.q_len, s.q_len), ("kv_len", form.kv_len, s.kv_len), ("heads", form.heads, heads)]
        {
            if got != needs {
                return Err(Error::BlockMask { name, got, needs });
            }
        }
        Ok(())
    }

    /// Features that exclude each other.
    fn check_together(&self) -> Result<(), Error> {
        let packed = self.sequences.is_some();
        for (both, a, b) in [
            (packed && self.shape.batch != 1, "packed", "a batch of more than one: the sequences are the batch"),
            (packed && self.append.is_some(), "packed", "append: a cache has a batch item for each sequence"),
            (packed && self.kv_lens, "packed", "kv_lens: the cumulative lengths say where each sequence ends"),
            (self.grid.is_some() && self.has_lengths(), "a grid", "lengths that the device reads"),
        ] {
            if both {
                return Err(Error::Conflict { a, b });
            }
        }
        Ok(())
    }

    fn check_only(&self) -> Result<(), Error> {
        let Some(only) = self.only else { return Ok(()) };
        for (name, [from, to], len) in
            [("heads", only.heads, self.shape.q_heads), ("rows", only.rows, self.shape.q_len)]
        {
            if from >= to || to > len {
                return Err(Error::Range { name, from, to, len });
            }
        }
        Ok(())
    }
}
