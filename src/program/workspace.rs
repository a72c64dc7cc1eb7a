//! What lies in the workspace of an attention, and where: see [`attention`](super::attention).

use std::ops::Range;

use crate::{
    problem::attention::shape::Shape,
    program::region::Region,
    tensor::{Tensor, dtype::DType, view::View},
};

/// Most bytes of partial outputs: a piece whose keys are cut is made smaller until it stays below.
const MAX_PARTIAL: u64 = 32 << 20;

/// Most bytes of tile classes, which would grow with the product of the lengths: a piece is made smaller until it stays below.
const MAX_CLASSES: u64 = 1 << 20;

/// Words of the workspace, behind the bytes of queries that were turned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) turned: u64,
    pub(crate) small: u64,
    pub(crate) states: u64,
    pub(crate) classes: u64,
    pub(crate) partial: u64,
    /// Bytes to a multiple of which each binding starts.
    pub(crate) align: u64,
}

impl Words {
    /// Bytes of one of them that is too long for its share of a binding; a piece must then be smaller.
    pub(crate) fn too_long(&self, window: u64) -> Option<u64> {
        let half = window / 2;
        let shares = [
            (self.small.saturating_add(self.classes), half),
            (self.classes, MAX_CLASSES),
            (self.states, half),
            (self.partial, MAX_PARTIAL.min(window)),
        ];
        shares
            .into_iter()
            .map(|(words, most)| (words.saturating_mul(4), most))
            .find(|(bytes, most)| bytes > most)
            .map(|(bytes, _)| bytes)
    }

    /// The most of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            turned: self.turned.max(other.turned),
            small: self.small.max(other.small),
            states: self.states.max(other.states),
            classes: self.classes.max(other.classes),
            partial: self.partial.max(other.partial),
            align: self.align,
        }
    }

    /// Bytes of the binding that all but queries and partial outputs share.
    pub(crate) fn shared(&self) -> Range<u64> {
        let start = self.turned.next_multiple_of(self.align);
        start..start + (self.small + self.states + self.classes) * 4
    }

    /// Bytes of partial outputs.
    pub(crate) fn partial(&self) -> Range<u64> {
        let start = self.shared().end.next_multiple_of(self.align);
        start..start + self.partial * 4
    }
}

/// Place of a region's row states from a word on.
pub(crate) fn states(region: &Region, word: u64) -> [u32; 4] {
    let (heads, rows) = (region.heads.len() as u32, region.rows.len() as u32);
    let [batch, head, row] = [heads.wrapping_mul(rows).wrapping_mul(2), rows.wrapping_mul(2), 2];
    let first = offset([region.batch.start, region.heads.start, region.rows.start], [batch, head, row]);
    [(word as u32).wrapping_sub(first), batch, head, row]
}

/// Where a place lies, modulo 2^32.
fn offset(place: [u32; 3], strides: [u32; 3]) -> u32 {
    place.into_iter().zip(strides).fold(0, |sum, (at, stride)| sum.wrapping_add(at.wrapping_mul(stride)))
}

/// Tile classes: batch items, heads and blocks that have their own, and words of each.
pub(crate) struct Classes {
    pub(crate) sizes: [u64; 3],
    pub(crate) words: u64,
}

impl Classes {
    pub(crate) fn words(&self) -> u64 {
        self.sizes.iter().fold(self.words, |words, &size| words.saturating_mul(size))
    }

    /// Place in the workspace from a word on; what is broadcast has stride 0.
    pub(crate) fn place(&self, [batch0, head0]: [u32; 2], word: u64) -> [u32; 4] {
        let [batch, heads, blocks] = self.sizes;
        let stride = |size: u64, words: u64| if size > 1 { words as u32 } else { 0 };
        let strides = [stride(batch, heads * blocks * self.words), stride(heads, blocks * self.words)];
        let first = offset([batch0, head0, 0], [strides[0], strides[1], 0]);
        [(word as u32).wrapping_sub(first), strides[0], strides[1], stride(blocks, self.words)]
    }
}

/// Outputs over parts of the keys of a region, dense and f32, whole vec4.
pub(crate) struct Partial {
    pub(crate) parts: u32,
    /// One part as a tensor.
    pub(crate) view: View,
    /// Elements from one part to the next.
    pub(crate) step: u32,
    /// Words from one part's row states to the next.
    pub(crate) state_step: u32,
    /// Place of the first part.
    at: [u32; 4],
}

impl Partial {
    pub(crate) fn new(shape: &Shape, region: &Region, parts: u32) -> Self {
        let dim = shape.value_dim.next_multiple_of(4);
        let sizes = [region.batch.len() as u32, region.heads.len() as u32, region.rows.len() as u32, dim];
        let view = View { written: true, ..View::dense(Tensor::Workspace, sizes, DType::F32) };
        let [head, row] = [sizes[2].wrapping_mul(dim), dim];
        let strides = [sizes[1].wrapping_mul(head), head, row].map(|stride| stride.max(1));
        let first = offset([region.batch.start, region.heads.start, region.rows.start], strides);
        let at = [0u32.wrapping_sub(first), strides[0], strides[1], strides[2]];
        let rows = sizes[0].wrapping_mul(sizes[1]).wrapping_mul(sizes[2]);
        Self { parts, view, step: rows.wrapping_mul(dim), state_step: rows.wrapping_mul(2), at }
    }

    /// Place of the first part.
    pub(crate) const fn place(&self) -> [u32; 4] {
        self.at
    }
}

/// The states of a region's rows: which part of them, and words from one part to the next.
#[derive(Clone, Copy)]
pub(crate) struct States<'a> {
    pub(crate) region: &'a Region,
    pub(crate) part: u32,
    pub(crate) step: u32,
}
