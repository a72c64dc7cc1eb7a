//! What makes a score and hides a key: the shared parts of every kernel that goes through queries and keys.

use crate::{
    kernels::workgroup::Workgroup,
    problem::attention::spec::Spec,
    shader::{
        parts,
        slot::Slot,
        text::{Text, Use},
    },
    tensor::{Tensor, dtype::DType},
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
struct GridParts {
    windows: bool,
    biased: bool,
}

/// The parts that a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scoring {
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
    grid: Option<GridParts>,
}

impl Scoring {
    pub(crate) fn of(spec: &Spec) -> Self {
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
        let grid = spec.grid.map(|grid| GridParts { windows: grid.shift.is_some(), biased: grid.biased });
        Self { lengths, softcap, alibi, bias, keep, block, classes, grouped: false, additive, head_scales, grid }
    }

    /// For kernels whose blocks have `rows` query rows: where one head has fewer, those of all heads that share keys fill a block.
    pub(crate) const fn grouped(self, spec: &Spec, rows: u32) -> Self {
        Self { grouped: spec.heads_sharing() > 1 && spec.shape.q_len < rows, ..self }
    }

    pub(crate) const fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// Only what makes a score before bias and ALiBi; and before the softcap too unless `capped`.
    pub(crate) const fn raw(self, capped: bool) -> Self {
        let softcap = self.softcap && capped;
        Self { softcap, alibi: false, bias: None, keep: None, block: None, classes: false, grid: None, ..self }
    }

    /// Only what masks in memory say.
    pub(crate) const fn masks(self) -> Self {
        Self { softcap: false, alibi: false, classes: false, additive: false, head_scales: false, grid: None, ..self }
    }

    /// Whether each pair has numbers of its own: a bias, a keep-mask.
    pub(crate) const fn is_paired(&self) -> bool {
        self.bias.is_some() || self.keep.is_some()
    }

    /// Bytes of the variables that a workgroup shares: a `Tile`, a `Next`.
    pub(crate) const fn shared_bytes(&self) -> u32 {
        let tile = if matches!(self.lengths, Lengths::Same) { 0 } else { 60 };
        tile + if self.classes { 8 } else { 0 }
    }

    /// What it reads from the workspace.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let lengths: &[Tensor] = match self.lengths {
            Lengths::Same => &[],
            Lengths::Read => &[Tensor::KvLens],
            Lengths::Packed => &[Tensor::CuQ, Tensor::CuK],
        };
        let biased = self.grid.is_some_and(|grid| grid.biased);
        let others = [
            (self.alibi, Tensor::Slopes),
            (self.additive, Tensor::ScoreWeights),
            (self.head_scales, Tensor::HeadScales),
            (biased, Tensor::GridBias),
        ];
        let others = others.into_iter().filter_map(|(there, tensor)| there.then_some(tensor));
        let small = lengths.iter().copied().chain(others).map(Slot::Of);
        self.classes.then_some(Slot::Classes).into_iter().chain(small).collect()
    }

    pub(crate) fn join(&self, text: Text, workgroup: Workgroup) -> Text {
        let bias_type = match self.bias {
            Some(DType::F16) => 1,
            Some(DType::Bf16) => 2,
            _ => 0,
        };
        let keep_bits = self.keep.map_or(8, DType::bits) as u32;
        let lengths = match self.lengths {
            Lengths::Same => parts::BLOCK_DENSE,
            Lengths::Read => parts::BLOCK_LENGTHS,
            Lengths::Packed => parts::BLOCK_PACKED,
        };
        let places: &[&str] = if self.grouped { &[parts::ROW_GROUPS] } else { &[parts::HEADS, parts::ROWS] };
        let masks = [
            (self.bias.is_some(), Tensor::Bias),
            (self.keep.is_some(), Tensor::Keep),
            (self.block.is_some(), Tensor::BlockMask),
        ];
        let masks = masks.into_iter().filter(|&(there, _)| there);
        let text = masks.fold(text, |text, (_, tensor)| text.tensor(tensor, Use::Read, "u32"));
        let text = self.block.into_iter().fold(text, |text, block| text.constant("BLOCK", block));
        text.constant("BR", workgroup.rows)
            .constant("BC", workgroup.keys)
            .flag("MASKED", self.is_paired() || self.block.is_some())
            .flag("SOFTCAPPED", self.softcap)
            .flag("GRID", self.grid.is_some())
            .flag("WINDOWS", self.grid.is_some_and(|grid| grid.windows))
            .constant("BIAS_TYPE", bias_type)
            .constant("KEEP_BITS", keep_bits)
            .join(&[
                parts::SCORE,
                parts::PAIR,
                parts::CUSTOM,
                if self.additive { parts::ADDITIVE } else { parts::DOT },
                if self.head_scales { parts::HEAD_SCALES } else { parts::NO_HEAD_SCALES },
                parts::SOFTCAP,
                if self.alibi { parts::ALIBI } else { parts::NO_ALIBI },
                if self.bias.is_some() { parts::BIAS } else { parts::NO_BIAS },
                if self.keep.is_some() { parts::KEEP } else { parts::NO_KEEP },
                if self.block.is_some() { parts::BLOCK_MASK } else { parts::NO_BLOCK_MASK },
                if self.classes { parts::CLASSES } else { parts::NO_CLASSES },
                parts::GRID,
                if self.grid.is_some_and(|grid| grid.biased) { parts::GRID_BIAS } else { parts::NO_GRID_BIAS },
                parts::BLOCK,
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
