//! Rotary position embedding.

use crate::{
    dtype::DType,
    error::Error,
    layout::{Layout, Order},
    mask::MAX_LEN,
    shape::MAX_DIM,
    tensor::Tensor,
    view::View,
};

/// Which elements of a row turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairs {
    /// Element `d` with element `d + dim / 2`: "rotate half", as in GPT-NeoX and Llama.
    Halves,
    /// Element `2 d` with element `2 d + 1`, as in the paper.
    Interleaved,
}

/// Which row of the tables of cosines and sines a row turns by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Angles {
    /// Row `lens[b] + i` of tables `[positions, dim / 2]`, with the lengths `[batch]` u32 read on the device: where an append
    /// puts row `i`. A position past the tables takes their last row.
    Appended {
        /// Rows of the tables.
        positions: u32,
    },
    /// Row `ids[b, i]` of tables `[positions, dim / 2]`, with ids `[batch, len]` u32 read on the device. A position past the
    /// tables takes their last row.
    Ids {
        /// Rows of the tables.
        positions: u32,
    },
    /// Row `[b, i]` of tables `[batch, len, dim / 2]`.
    Rows,
}

/// A rotation of the first `dim` elements of a row; the others pass through (Su et al. 2021, "RoFormer").
///
/// With the angle's cosine `c` and sine `s`, the pair `(x, y)` becomes `(c x - s y, s x + c y)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotary {
    /// Elements that turn: even, at most the length of a row.
    pub dim: u32,
    /// Which elements turn together.
    pub pairs: Pairs,
    /// By how much.
    pub angles: Angles,
}

impl Rotary {
    pub(crate) fn check(&self, head_dim: u32) -> Result<(), Error> {
        let (name, got, max) = ("rotary dim", u64::from(self.dim), u64::from(head_dim));
        if self.dim == 0 {
            return Err(Error::Zero { name });
        }
        if self.dim > head_dim {
            return Err(Error::TooLarge { name, got, max });
        }
        if !self.dim.is_multiple_of(2) {
            return Err(Error::Odd { name, got });
        }
        match self.angles {
            Angles::Appended { positions: 0 } | Angles::Ids { positions: 0 } => Err(Error::Zero { name: "positions" }),
            Angles::Appended { .. } | Angles::Ids { .. } | Angles::Rows => Ok(()),
        }
    }

    /// The tables and what chooses their rows, for so many batch items and rows; `None` for any other tensor.
    pub(crate) fn view(&self, tensor: Tensor, batch: u32, len: u32) -> Option<View> {
        let row = self.dim / 2;
        let table = match self.angles {
            Angles::Appended { positions } | Angles::Ids { positions } => [1, 1, positions, row],
            Angles::Rows => [batch, 1, len, row],
        };
        match (tensor, self.angles) {
            (Tensor::Cos | Tensor::Sin, _) => Some(View::dense(tensor, table, DType::F32)),
            (Tensor::Positions, Angles::Ids { .. }) => Some(View::dense(tensor, [batch, 1, 1, len], DType::U32)),
            (Tensor::KvLens, Angles::Appended { .. }) => Some(View::dense(tensor, [1, 1, 1, batch], DType::U32)),
            _ => None,
        }
    }
}

/// Rotary position embedding on its own: reads q `[batch, heads, len, head_dim]`, writes out of the same shape.
///
/// For keys it is part of the append ([`Spec::append_rotated`](crate::Spec::append_rotated)).
///
/// ```
/// use wgpu_attention::{Angles, Pairs, Problem, Rope, Rotary};
/// let rotary = Rotary { dim: 64, pairs: Pairs::Halves, angles: Angles::Ids { positions: 4096 } };
/// let rope = Rope::new([1, 32, 1, 64], rotary); // batch, heads, rows, head_dim
/// assert_eq!(Problem::from(rope).check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rope {
    sizes: [u32; 4],
    pub(crate) rotary: Rotary,
    order: Order,
    layouts: [Option<Layout>; 2],
    types: [DType; 2],
    pub(crate) shared_buffer: bool,
}

impl Rope {
    /// A rotation of `[batch, heads, len, head_dim]`, dense and f32.
    pub fn new(sizes: [u32; 4], rotary: Rotary) -> Self {
        Self { sizes, rotary, order: Order::Bhsd, layouts: [None; 2], types: [DType::F32; 2], shared_buffer: false }
    }

    /// Dense order of q and out; layouts set by name win over it.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Layout of q.
    pub fn q_layout(mut self, layout: Layout) -> Self {
        self.layouts[0] = Some(layout);
        self
    }

    /// Layout of out.
    pub fn out_layout(mut self, layout: Layout) -> Self {
        self.layouts[1] = Some(layout);
        self
    }

    /// Element type of q.
    pub fn q_type(mut self, dtype: DType) -> Self {
        self.types[0] = dtype;
        self
    }

    /// Element type of out.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types[1] = dtype;
        self
    }

    /// The bindings may lie in one buffer ([`Spec::shared_buffer`](crate::Spec::shared_buffer)).
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
    }

    /// `[batch, heads, len, head_dim]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 4] {
        self.sizes
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [batch, heads, len, head_dim] = self.sizes;
        check_size("batch", batch, u32::MAX)?;
        check_size("heads", heads, u32::MAX)?;
        check_size("len", len, MAX_LEN)?;
        check_size("head_dim", head_dim, MAX_DIM)?;
        check_float("q_type", self.types[0])?;
        check_float("out_type", self.types[1])?;
        self.rotary.check(head_dim)
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [batch, heads, len, dim] = self.sizes;
        let place = match tensor {
            Tensor::Q => 0,
            Tensor::Out => 1,
            _ => return self.rotary.view(tensor, batch, len),
        };
        let layout = self.layouts[place].unwrap_or_else(|| self.order.layout(heads, len, dim));
        Some(View { tensor, sizes: self.sizes, layout, dtype: self.types[place], written: tensor == Tensor::Out })
    }
}

/// Whether a size is from 1 to its limit.
pub(crate) fn check_size(name: &'static str, got: u32, max: u32) -> Result<(), Error> {
    match got {
        0 => Err(Error::Zero { name }),
        _ if got > max => Err(Error::TooLarge { name, got: got.into(), max: max.into() }),
        _ => Ok(()),
    }
}

/// Whether an element type is a float.
pub(crate) fn check_float(name: &'static str, dtype: DType) -> Result<(), Error> {
    if dtype.is_float() { Ok(()) } else { Err(Error::Type { name, got: dtype, wanted: "f32, f16 or bf16" }) }
}
