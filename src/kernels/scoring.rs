//! What makes a score and hides a key: the shared parts of every kernel that goes through queries and keys.

use crate::{
    dtype::DType,
    shader::{
        ALIBI, BIAS, CLASSES, KEEP, NO_ALIBI, NO_BIAS, NO_CLASSES, NO_KEEP, NO_SOFTCAP, PARAMS, SCORE, SOFTCAP, TILE,
        TILE_DENSE, TILE_LENGTHS, TILE_PACKED, Text,
    },
    spec::Spec,
};

/// Where the rows and keys of an item start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lengths {
    /// All items are as long as the problem says.
    Same,
    /// The keys end where the device reads it.
    Read,
    /// Packed sequences.
    Packed,
}

/// The parts that a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scoring {
    lengths: Lengths,
    softcap: bool,
    alibi: bool,
    bias: Option<DType>,
    keep: Option<DType>,
    classes: bool,
}

impl Scoring {
    pub(super) fn of(spec: &Spec) -> Self {
        let lengths = match (spec.sequences, spec.kv_lens) {
            (Some(_), _) => Lengths::Packed,
            (None, true) => Lengths::Read,
            (None, false) => Lengths::Same,
        };
        let bias = spec.bias.map(|_| spec.types.bias);
        let keep = spec.keep.map(|_| spec.types.keep);
        let (softcap, alibi, classes) = (spec.softcap.is_some(), spec.alibi.is_some(), spec.is_masked());
        Self { lengths, softcap, alibi, bias, keep, classes }
    }

    /// Only what makes a score before bias and ALiBi; and before the softcap too unless `capped`.
    pub(super) const fn raw(self, capped: bool) -> Self {
        let softcap = self.softcap && capped;
        Self { softcap, alibi: false, bias: None, keep: None, classes: false, ..self }
    }

    /// Only what masks in memory say.
    pub(super) const fn masks(self) -> Self {
        Self { softcap: false, alibi: false, classes: false, ..self }
    }

    /// Bytes of the variables that a workgroup shares: a `Tile`, a `Next`.
    pub(super) const fn shared_bytes(&self) -> u32 {
        let tile = if matches!(self.lengths, Lengths::Same) { 0 } else { 48 };
        tile + if self.classes { 8 } else { 0 }
    }

    /// Whether the parts read the workspace.
    pub(super) const fn reads_workspace(&self) -> bool {
        self.alibi || self.classes || !matches!(self.lengths, Lengths::Same)
    }

    pub(super) fn join(&self, text: Text) -> Text {
        let bias_type = match self.bias {
            Some(DType::F16) => 1,
            Some(DType::Bf16) => 2,
            _ => 0,
        };
        let keep_bits = self.keep.map_or(8, DType::bits) as u32;
        let lengths = match self.lengths {
            Lengths::Same => TILE_DENSE,
            Lengths::Read => TILE_LENGTHS,
            Lengths::Packed => TILE_PACKED,
        };
        text.flag("MASKED", self.bias.is_some() || self.keep.is_some())
            .constant("BIAS_TYPE", bias_type)
            .constant("KEEP_BITS", keep_bits)
            .join(&[
                PARAMS,
                SCORE,
                if self.softcap { SOFTCAP } else { NO_SOFTCAP },
                if self.alibi { ALIBI } else { NO_ALIBI },
                if self.bias.is_some() { BIAS } else { NO_BIAS },
                if self.keep.is_some() { KEEP } else { NO_KEEP },
                if self.classes { CLASSES } else { NO_CLASSES },
                TILE,
                lengths,
            ])
    }
}

impl Spec {
    /// Whether a mask lies in memory: a bias, which may hide keys, or a keep-mask.
    pub(crate) const fn is_masked(&self) -> bool {
        self.bias.is_some() || self.keep.is_some()
    }
}
