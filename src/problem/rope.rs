//! Rotary position embedding.

use crate::{
    error::Error,
    problem::{
        attention::shape::Shape,
        limits::{MAX_DIM, MAX_LEN, check_float, check_size},
        setters::{Storage, setters},
    },
    tensor::{
        Tensor,
        dtype::DType,
        layout::{Layout, Order},
        view::View,
    },
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
    /// puts row `i`. There are at least as many positions as the cache has room for keys; for a [`Rope`], a position past the tables
    /// takes their last row.
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
    /// The tables of cosines and sines, `[positions, dim / 2]` each: the angle of pair `n` at a position is
    /// `position / base^(2n / dim)` (section 3.2.2 of the paper; base 10000 there).
    ///
    /// ```
    /// use wgpu_attention::{Angles, Pairs, Rotary};
    /// let rotary = Rotary { dim: 4, pairs: Pairs::Halves, angles: Angles::Appended { positions: 2 } };
    /// let [cos, sin] = rotary.tables(2, 10000.0);
    /// assert_eq!((&cos[..2], &sin[2..]), (&[1.0, 1.0][..], &[1f32.sin(), 0.01f32.sin()][..]));
    /// ```
    #[must_use]
    pub fn tables(&self, positions: u32, base: f64) -> [Vec<f32>; 2] {
        let angle = |position: u32, n: u32| f64::from(position) / base.powf(2.0 * f64::from(n) / f64::from(self.dim));
        let row = |position: u32| (0..self.dim / 2).map(move |n| angle(position, n));
        let angles: Vec<f64> = (0..positions).flat_map(row).collect();
        [f64::cos, f64::sin].map(|of| angles.iter().map(|&angle| of(angle) as f32).collect())
    }

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

    /// Whether it can turn what an append of `len` rows adds, and the queries, which are the last of those rows.
    pub(crate) fn check_append(&self, shape: &Shape, len: u32) -> Result<(), Error> {
        self.check(shape.head_dim)?;
        match self.angles {
            Angles::Ids { .. } | Angles::Rows if shape.q_len > len => {
                let name = "q_len beside angles for each appended row";
                Err(Error::TooLarge { name, got: shape.q_len.into(), max: len.into() })
            }
            Angles::Appended { positions } if positions < shape.kv_len => {
                Err(Error::Positions { positions, kv_len: shape.kv_len })
            }
            _ => Ok(()),
        }
    }

    /// The cosines of `batch` batch items of `len` rows each.
    pub(crate) fn cos_view(&self, batch: u32, len: u32) -> View {
        let row = self.dim / 2;
        let sizes = match self.angles {
            Angles::Appended { positions } | Angles::Ids { positions } => [1, 1, positions, row],
            Angles::Rows => [batch, 1, len, row],
        };
        View::dense(Tensor::Cos, sizes, DType::F32)
    }

    /// The sines, which lie as the cosines do.
    pub(crate) fn sin_view(&self, batch: u32, len: u32) -> View {
        View { tensor: Tensor::Sin, ..self.cos_view(batch, len) }
    }

    /// The tables and what chooses their rows, of `batch` batch items of `len` rows each; `None` for any other tensor.
    pub(crate) fn view(&self, tensor: Tensor, batch: u32, len: u32) -> Option<View> {
        match (tensor, self.angles) {
            (Tensor::Cos, _) => Some(self.cos_view(batch, len)),
            (Tensor::Sin, _) => Some(self.sin_view(batch, len)),
            (Tensor::Positions, Angles::Ids { .. }) => Some(View::dense(tensor, [batch, 1, 1, len], DType::U32)),
            (Tensor::KvLens, Angles::Appended { .. }) => Some(View::dense(tensor, [1, 1, 1, batch], DType::U32)),
            _ => None,
        }
    }
}

/// Rotary position embedding on its own: reads q `[batch, heads, len, head_dim]`, writes out of the same shape.
///
/// An append does it by itself, to keys and queries ([`Spec::append_rotated`](crate::Spec::append_rotated)).
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
    q: Storage,
    out: Storage,
    pub(crate) shared_buffer: bool,
}

impl Rope {
    /// A rotation of `[batch, heads, len, head_dim]`, dense and f32.
    pub fn new(sizes: [u32; 4], rotary: Rotary) -> Self {
        let (order, [q, out]) = (Order::Bhsd, [Storage::default(); 2]);
        Self { sizes, rotary, order, q, out, shared_buffer: false }
    }

    /// Dense order of q and out; layouts set by name win over it.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    setters! {
        /// Layout of q.
        q_layout(Layout) sets q.layout,
        /// Layout of out.
        out_layout(Layout) sets out.layout,
        /// Element type of q.
        q_type(DType) sets q.dtype,
        /// Element type of out.
        out_type(DType) sets out.dtype,
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
        check_float("q_type", self.q.dtype)?;
        check_float("out_type", self.out.dtype)?;
        self.rotary.check(head_dim)
    }

    pub(crate) fn q_view(&self) -> View {
        self.q.view_in(self.order, Tensor::Q, self.sizes)
    }

    pub(crate) fn out_view(&self) -> View {
        self.out.view_in(self.order, Tensor::Out, self.sizes).written()
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [batch, _, len, _] = self.sizes;
        match tensor {
            Tensor::Q => Some(self.q_view()),
            Tensor::Out => Some(self.out_view()),
            _ => self.rotary.view(tensor, batch, len),
        }
    }
}
