//! What makes a score and hides a key: the shared parts of every kernel that goes through queries and keys.

use super::Workgroup;
use crate::{
    dtype::DType,
    shader::{
        ADDITIVE, ALIBI, BIAS, BLOCK, BLOCK_DENSE, BLOCK_LENGTHS, BLOCK_MASK, BLOCK_PACKED, CLASSES, DOT, GRID,
        GRID_BIAS, HEAD_SCALES, HEADS, KEEP, NO_ALIBI, NO_BIAS, NO_BLOCK_MASK, NO_CLASSES, NO_GRID, NO_GRID_BIAS,
        NO_HEAD_SCALES, NO_KEEP, NO_SOFTCAP, PARAMS, ROW_GROUPS, ROWS, SCORE, SOFTCAP, Text,
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

/// How keys are near queries of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Places {
    windows: bool,
    biased: bool,
}

/// The parts that a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scoring {
    lengths: Lengths,
    softcap: bool,
    alibi: bool,
    bias: Option<DType>,
    keep: Option<DType>,
    /// Rows and keys of a block of the block mask.
    block: Option<u32>,
    classes: bool,
    /// Whether a block has the rows of all heads that share keys.
    grouped: bool,
    additive: bool,
    head_scales: bool,
    grid: Option<Places>,
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
        let block = spec.block_mask.map(|form| form.block);
        let (softcap, alibi, classes) = (spec.softcap.is_some(), spec.alibi.is_some(), spec.is_masked());
        let (additive, head_scales) = (spec.additive, spec.head_scales);
        let grid = spec.grid.map(|grid| Places { windows: grid.shift.is_some(), biased: grid.biased });
        Self { lengths, softcap, alibi, bias, keep, block, classes, grouped: false, additive, head_scales, grid }
    }

    /// For kernels with so many rows in a block: where one head has fewer, those of all heads that share keys fill it.
    pub(super) const fn grouped(self, spec: &Spec, rows: u32) -> Self {
        Self { grouped: spec.heads_sharing() > 1 && spec.shape.q_len < rows, ..self }
    }

    pub(super) const fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// Only what makes a score before bias and ALiBi; and before the softcap too unless `capped`.
    pub(super) const fn raw(self, capped: bool) -> Self {
        let softcap = self.softcap && capped;
        Self { softcap, alibi: false, bias: None, keep: None, block: None, classes: false, grid: None, ..self }
    }

    /// Only what masks in memory say.
    pub(super) const fn masks(self) -> Self {
        Self { softcap: false, alibi: false, classes: false, additive: false, head_scales: false, grid: None, ..self }
    }

    /// Whether each pair has numbers of its own: a bias, a keep-mask.
    pub(super) const fn is_paired(&self) -> bool {
        self.bias.is_some() || self.keep.is_some()
    }

    /// Bytes of the variables that a workgroup shares: a `Tile`, a `Next`.
    pub(super) const fn shared_bytes(&self) -> u32 {
        let tile = if matches!(self.lengths, Lengths::Same) { 0 } else { 60 };
        tile + if self.classes { 8 } else { 0 }
    }

    /// Whether the parts read the workspace.
    pub(super) const fn reads_workspace(&self) -> bool {
        matches!(self.grid, Some(Places { biased: true, .. }))
            || self.alibi
            || self.classes
            || self.additive
            || self.head_scales
            || !matches!(self.lengths, Lengths::Same)
    }

    pub(super) fn join(&self, text: Text, workgroup: Workgroup) -> Text {
        let bias_type = match self.bias {
            Some(DType::F16) => 1,
            Some(DType::Bf16) => 2,
            _ => 0,
        };
        let keep_bits = self.keep.map_or(8, DType::bits) as u32;
        let lengths = match self.lengths {
            Lengths::Same => BLOCK_DENSE,
            Lengths::Read => BLOCK_LENGTHS,
            Lengths::Packed => BLOCK_PACKED,
        };
        let places: &[&str] = if self.grouped { &[ROW_GROUPS] } else { &[HEADS, ROWS] };
        let text = self.block.into_iter().fold(text, |text, block| text.constant("BLOCK", block));
        let text = match self.grid {
            Some(Places { windows, .. }) => text.flag("WINDOWS", windows),
            None => text,
        };
        text.constant("BR", workgroup.rows)
            .constant("BC", workgroup.keys)
            .flag("MASKED", self.is_paired() || self.block.is_some())
            .constant("BIAS_TYPE", bias_type)
            .constant("KEEP_BITS", keep_bits)
            .join(&[
                PARAMS,
                SCORE,
                if self.additive { ADDITIVE } else { DOT },
                if self.head_scales { HEAD_SCALES } else { NO_HEAD_SCALES },
                if self.softcap { SOFTCAP } else { NO_SOFTCAP },
                if self.alibi { ALIBI } else { NO_ALIBI },
                if self.bias.is_some() { BIAS } else { NO_BIAS },
                if self.keep.is_some() { KEEP } else { NO_KEEP },
                if self.block.is_some() { BLOCK_MASK } else { NO_BLOCK_MASK },
                if self.classes { CLASSES } else { NO_CLASSES },
                if self.grid.is_some() { GRID } else { NO_GRID },
                if self.grid.is_some_and(|grid| grid.biased) { GRID_BIAS } else { NO_GRID_BIAS },
                BLOCK,
                lengths,
            ])
            .join(places)
    }
}

impl Spec {
    /// Query heads whose rows may stand in one block: those that share keys, unless sequences are packed.
    pub(crate) const fn heads_sharing(&self) -> u32 {
        if self.sequences.is_some() { 1 } else { self.shape.q_heads / self.shape.kv_heads }
    }

    /// Whether a mask lies in memory: a bias, which may hide keys, a keep-mask or a block mask.
    pub(crate) const fn is_masked(&self) -> bool {
        self.bias.is_some() || self.keep.is_some() || self.block_mask.is_some()
    }
}
