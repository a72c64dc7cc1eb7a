//! Cutting a problem until each piece fits what one dispatch can bind.
//!
//! A [`Region`] is a box of batch items, heads, rows and keys. Of each tensor it touches a range of addresses, the
//! [`Operand::window`]; where a window is too long, the region is halved along the axis that stretches it most. Keys are cut
//! last, since results over parts of them must be merged.

use std::ops::Range;

use crate::{
    error::Error,
    shader::{params::strides, slot::Slot},
    tensor::view::View,
};

/// Most dispatches of a program: 32 MiB of parameters, 10^15 operations.
pub(crate) const MAX_STEPS: usize = 1 << 16;

/// A direction in which a problem can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Batch,
    Heads,
    Rows,
    Keys,
}

/// A box of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) batch: Range<u32>,
    pub(crate) heads: Range<u32>,
    pub(crate) rows: Range<u32>,
    pub(crate) keys: Range<u32>,
}

impl Region {
    fn range(&self, axis: Axis) -> &Range<u32> {
        match axis {
            Axis::Batch => &self.batch,
            Axis::Heads => &self.heads,
            Axis::Rows => &self.rows,
            Axis::Keys => &self.keys,
        }
    }

    fn with(&self, axis: Axis, range: Range<u32>) -> Self {
        let mut region = self.clone();
        *match axis {
            Axis::Batch => &mut region.batch,
            Axis::Heads => &mut region.heads,
            Axis::Rows => &mut region.rows,
            Axis::Keys => &mut region.keys,
        } = range;
        region
    }

    fn halved(&self, axis: Axis) -> [Self; 2] {
        let Range { start, end } = self.range(axis).clone();
        let middle = start + (end - start).div_ceil(2);
        [self.with(axis, start..middle), self.with(axis, middle..end)]
    }

    /// Query rows of all its heads and batch items. Inputs of stride 0 make numbers possible that 64 bits do not hold: those saturate.
    pub(crate) fn all_rows(&self) -> u64 {
        let [batch, heads, rows] = [&self.batch, &self.heads, &self.rows].map(|range| range.len() as u64);
        batch.saturating_mul(heads).saturating_mul(rows)
    }

    pub(crate) fn over(&self, keys: Range<u32>) -> Self {
        self.with(Axis::Keys, keys)
    }

    /// What both cover; `None` where they have nothing in common.
    pub(crate) fn and(&self, other: &Self) -> Option<Self> {
        let axes = [Axis::Batch, Axis::Heads, Axis::Rows, Axis::Keys];
        axes.into_iter().try_fold(self.clone(), |region, axis| {
            let (a, b) = (self.range(axis), other.range(axis));
            let both = a.start.max(b.start)..a.end.min(b.end);
            (both.start < both.end).then(|| region.with(axis, both))
        })
    }

    /// The longest axis but keys, in units; `None` where each is one long.
    pub(crate) fn longest(&self) -> Option<Axis> {
        let axes = [Axis::Batch, Axis::Heads, Axis::Rows].into_iter();
        axes.filter(|&axis| self.range(axis).len() > 1).max_by_key(|&axis| self.range(axis).len())
    }
}

/// What moves an operand along one of its dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// An axis; index 0 of the tensor is this index of the axis.
    Along(Axis, u32),
    /// One index for each group of heads: the number of query heads that share one key head.
    Grouped(u32),
    /// Nothing: all of it may be needed.
    Whole,
}

/// A tensor under the name that a shader has for it.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) slot: Slot,
    pub(crate) view: View,
    pub(crate) spans: [Span; 4],
}

impl Operand {
    /// Indices along one dimension; never none, so that there is something to bind.
    fn indices(&self, dim: usize, region: &Region) -> Range<u64> {
        let size = u64::from(self.view.sizes[dim]);
        let along = |range: &Range<u32>, from: u32| {
            let index = |at: u32| u64::from(at.saturating_sub(from));
            let start = index(range.start).min(size - 1);
            start..index(range.end).clamp(start + 1, size)
        };
        match self.spans[dim] {
            Span::Along(axis, from) => along(region.range(axis), from),
            Span::Grouped(group) => along(&(region.heads.start / group..(region.heads.end - 1) / group + 1), 0),
            Span::Whole => 0..size,
        }
    }

    fn strides(&self) -> [u64; 4] {
        [self.view.layout.batch, self.view.layout.head, self.view.layout.row, 1]
    }

    /// The bytes that a region touches, from a multiple of `align`.
    pub(crate) fn window(&self, region: &Region, align: u64) -> Range<u64> {
        let bits = self.view.dtype.bits();
        let (mut first, mut last) = (self.view.layout.offset, self.view.layout.offset);
        for (dim, stride) in self.strides().into_iter().enumerate() {
            let indices = self.indices(dim, region);
            first += indices.start * stride;
            last += (indices.end - 1) * stride;
        }
        first * bits / 8 / align * align..((last + 1) * bits).div_ceil(32) * 4
    }

    /// Place of the tensor as shaders see it whose binding starts at byte `start`: indices are those of the whole problem.
    pub(crate) fn place(&self, start: u64) -> [u32; 4] {
        let [mut offset, batch, head, row] = strides(&self.view.layout);
        offset = offset.wrapping_sub((start * 8 / self.view.dtype.bits()) as u32);
        for (span, stride) in self.spans.into_iter().zip([batch, head, row, 1]) {
            if let Span::Along(_, from) = span {
                offset = offset.wrapping_sub(from.wrapping_mul(stride));
            }
        }
        [offset, batch, head, row]
    }

    /// The axes along which a region could be cut to touch less, the one that stretches it most first.
    fn stretched(&self, region: &Region) -> Vec<Axis> {
        let strides = self.strides();
        let mut axes: Vec<(u64, Axis)> = (0..4)
            .filter_map(|dim| {
                let axis = match self.spans[dim] {
                    Span::Along(axis, _) => axis,
                    Span::Grouped(_) => Axis::Heads,
                    Span::Whole => return None,
                };
                let indices = self.indices(dim, region);
                let reach = (indices.end - indices.start - 1) * strides[dim];
                (reach > 0).then_some((reach, axis))
            })
            .collect();
        axes.sort_by_key(|&(reach, _)| std::cmp::Reverse(reach));
        axes.into_iter().map(|(_, axis)| axis).collect()
    }
}

/// A region, and the parts into which its keys are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) region: Region,
    pub(crate) parts: Vec<Range<u32>>,
}

/// What a piece may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a window.
    pub(crate) window: u64,
    /// A window starts at a multiple of this many bytes.
    pub(crate) align: u64,
    /// Keys of a part.
    pub(crate) keys: u32,
}

/// Cuts a region until every operand's window fits, and `too_long` finds nothing of the workspace that a piece needs and that
/// is longer than a binding, of which it says the bytes.
pub(crate) fn cut(
    whole: Region,
    operands: &[Operand],
    limits: Limits,
    too_long: impl Fn(&Piece) -> Option<u64>,
) -> Result<Vec<Piece>, Error> {
    let (mut todo, mut done, mut listed) = (vec![whole], Vec::new(), 0);
    while let Some(region) = todo.pop() {
        // Each part of a piece is a dispatch at least: there is no need to list more of them than a program can have.
        if listed + todo.len() >= MAX_STEPS {
            return Err(too_many((listed + todo.len()) as u64 + 1));
        }
        let axis = match first_cut(&region, operands, limits) {
            Some(axis) => axis,
            None => match parts(&region, operands, limits) {
                Ok(parts) => {
                    let piece = Piece { region, parts };
                    let Some(bytes) = too_long(&piece) else {
                        listed += piece.parts.len();
                        done.push(piece);
                        continue;
                    };
                    let refusal = Error::BindingLimit { name: "workspace", bytes, max: limits.window };
                    todo.extend(halves(&piece.region, piece.region.longest().ok_or(refusal)?));
                    continue;
                }
                Err(None) => return Err(too_many(region.keys.len() as u64)),
                Err(Some(operand)) => {
                    let others = operand.stretched(&region).into_iter().find(|&axis| axis != Axis::Keys);
                    others.ok_or_else(|| refusal(operand, &region, limits))?
                }
            },
        };
        todo.extend(halves(&region, axis));
    }
    Ok(done)
}

/// Both halves, the first one on top.
fn halves(region: &Region, axis: Axis) -> [Region; 2] {
    let [first, second] = region.halved(axis);
    [second, first]
}

/// The axis to cut for the first operand that is too long, unless that is keys.
fn first_cut(region: &Region, operands: &[Operand], limits: Limits) -> Option<Axis> {
    let long = operands.iter().filter(|operand| exceeds(operand, region, limits));
    long.filter_map(|operand| operand.stretched(region).first().copied()).find(|&axis| axis != Axis::Keys)
}

fn exceeds(operand: &Operand, region: &Region, limits: Limits) -> bool {
    let window = operand.window(region, limits.align);
    window.end - window.start > limits.window
}

/// The fewest equal parts of the keys in which every window fits; or an operand that fits in none; or nothing, if they are too many.
fn parts<'a>(region: &Region, operands: &'a [Operand], limits: Limits) -> Result<Vec<Range<u32>>, Option<&'a Operand>> {
    let Range { start, end } = region.keys;
    let mut len = (end - start).min(limits.keys).max(1);
    loop {
        if (end - start).div_ceil(len) as usize >= MAX_STEPS {
            return Err(None);
        }
        let parts: Vec<_> = (start..end).step_by(len as usize).map(|key| key..(key + len).min(end)).collect();
        let long = |operand: &&Operand| parts.iter().any(|keys| exceeds(operand, &region.over(keys.clone()), limits));
        match operands.iter().find(long) {
            None => return Ok(parts),
            Some(operand) if len == 1 || !operand.stretched(region).contains(&Axis::Keys) => return Err(Some(operand)),
            Some(_) => len = len.div_ceil(2),
        }
    }
}

fn too_many(got: u64) -> Error {
    Error::TooLarge { name: "the number of dispatches", got, max: MAX_STEPS as u64 }
}

fn refusal(operand: &Operand, region: &Region, limits: Limits) -> Error {
    let window = operand.window(&region.over(region.keys.start..region.keys.start + 1), limits.align);
    Error::BindingLimit { name: operand.view.tensor.name(), bytes: window.end - window.start, max: limits.window }
}
