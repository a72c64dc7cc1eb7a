//! What queries see in a call of attention.

use crate::error::Error;

/// Which weights a call also gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnWeights {
    /// None.
    #[default]
    None,
    /// `[batch * heads * q_len, kv_len]`.
    EachHead,
    /// Their mean over heads: `[batch * q_len, kv_len]`.
    Mean,
}

/// What queries see in one call, and what it gives beside its output.
///
/// Masks are given as torch.nn has them, true where a key is *not* seen, and turned here, once, into those of
/// [`Spec::keep`](crate::Spec::keep) and [`Spec::bias`](crate::Spec::bias). A row that sees no key gives 0 before the output projection.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CallOptions {
    pub(super) batch: u32,
    pub(super) causal: bool,
    pub(super) padding: Option<Vec<bool>>,
    pub(super) added: Option<Vec<f32>>,
    pub(super) weights: ReturnWeights,
    pub(super) measured: bool,
}

impl CallOptions {
    /// Every query of a batch item sees each of its keys. Rows of values are `batch` times as many as a sequence has.
    pub fn of(batch: u32) -> Self {
        Self { batch, ..Self::default() }
    }

    /// Query `i` sees the keys up to `i`.
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// Keys `[batch, kv_len]` that no query sees: true.
    pub fn key_padding_mask(mut self, ignored: &[bool]) -> Self {
        self.padding = Some(ignored.to_vec());
        self
    }

    /// Pairs `[q_len, kv_len]` or `[batch * heads, q_len, kv_len]` that are not seen: true.
    pub fn attn_mask(self, ignored: &[bool]) -> Self {
        let bias = ignored.iter().map(|&ignored| if ignored { f32::NEG_INFINITY } else { 0.0 });
        self.attn_bias(&bias.collect::<Vec<_>>())
    }

    /// What is added to the scores, of the same sizes: finite, or -inf for what is not seen.
    pub fn attn_bias(mut self, added: &[f32]) -> Self {
        self.added = Some(added.to_vec());
        self
    }

    /// Gives the weights too.
    pub fn weights(mut self, weights: ReturnWeights) -> Self {
        self.weights = weights;
        self
    }

    /// Gives the measures of rows and what keys receive too, without the weights: [`Measures::rows`](crate::Measures::rows) and
    /// [`Measures::received`](crate::Measures::received).
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// Rows of a sequence, where `rows` are those of all.
    pub(super) fn len(&self, name: &'static str, rows: u32) -> Result<u32, Error> {
        if self.batch == 0 {
            return Err(Error::Zero { name: "batch" });
        }
        if rows == 0 || !rows.is_multiple_of(self.batch) {
            return Err(Error::Batch { name, rows, batch: self.batch });
        }
        Ok(rows / self.batch)
    }
}
