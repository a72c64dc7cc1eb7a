//! Where each tensor of a problem lies in memory.

use crate::{
    dtype::DType,
    error::Error,
    layout::{Layout, Order},
    shape::Slopes,
    spec::Spec,
    tensor::{Data, Tensor},
};

/// One tensor of a problem in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Which tensor.
    pub tensor: Tensor,
    /// `[batch, heads, rows, dim]`.
    pub sizes: [u32; 4],
    /// Where its elements lie.
    pub layout: Layout,
    /// Its element type.
    pub dtype: DType,
    /// Whether the device writes it.
    pub written: bool,
}

impl View {
    /// An input, dense in the order of its sizes.
    #[must_use]
    pub fn dense(tensor: Tensor, sizes: [u32; 4], dtype: DType) -> Self {
        let layout = Order::Bhsd.layout(sizes[1], sizes[2], sizes[3]);
        Self { tensor, sizes, layout, dtype, written: false }
    }

    /// The same at this layout, if there is one.
    pub(crate) fn at(self, layout: Option<Layout>) -> Self {
        Self { layout: layout.unwrap_or(self.layout), ..self }
    }

    /// One past the last element it reaches, or why there is none.
    pub fn extent(&self) -> Result<u64, Error> {
        self.layout.extent(self.sizes).ok_or(Error::Overflow { name: self.tensor.name() })
    }

    /// Bytes that a binding of it must have, a multiple of 4.
    pub fn bytes(&self) -> Result<u64, Error> {
        let bits = self.extent()?.checked_mul(self.dtype.bits());
        bits.map(|bits| bits.div_ceil(32) * 4).ok_or(Error::Overflow { name: self.tensor.name() })
    }

    /// Whether the host gives its values: inputs, and the caches that an append adds to.
    #[must_use]
    pub fn is_input(&self) -> bool {
        !self.written || matches!(self.tensor, Tensor::K | Tensor::V)
    }

    /// Whether the host reads its values.
    #[must_use]
    pub fn is_output(&self) -> bool {
        self.written && self.tensor != Tensor::Workspace
    }
}

impl Data<'_> {
    /// Whether elements of this type are made from it.
    pub(crate) const fn fits(&self, dtype: DType) -> bool {
        match self {
            Self::Floats(_) => dtype.is_float(),
            Self::Words(_) => matches!(dtype, DType::U32),
            Self::Bools(_) => matches!(dtype, DType::Bool | DType::Bit),
        }
    }
}

impl Spec {
    /// Shape, layout and type of a tensor of this problem; `None` where the problem has no such tensor.
    #[must_use]
    pub fn view(&self, tensor: Tensor) -> Option<View> {
        let s = &self.shape;
        let new = self.append.map(|append| append.len);
        let grown = self.append.is_some();
        let new_type = self.types.new.unwrap_or(self.types.kv);
        let list = |len: u32, dtype| View::dense(tensor, [1, 1, 1, len], dtype);
        let rows = |sizes, dtype, written| self.rows(tensor, sizes, dtype, written);
        let view = match tensor {
            Tensor::Q => rows([s.batch, s.q_heads, s.q_len, s.head_dim], self.types.q, false),
            Tensor::K => rows([s.batch, s.kv_heads, s.kv_len, s.head_dim], self.types.kv, grown),
            Tensor::V => rows([s.batch, s.kv_heads, s.kv_len, s.value_dim], self.types.kv, grown),
            Tensor::Out if self.out => rows([s.batch, s.q_heads, s.q_len, s.value_dim], self.types.out, true),
            Tensor::NewK => rows([s.batch, s.kv_heads, new?, s.head_dim], new_type, false),
            Tensor::NewV => rows([s.batch, s.kv_heads, new?, s.value_dim], new_type, false),
            Tensor::Bias | Tensor::Keep => {
                let (tensors, dtype) = match tensor {
                    Tensor::Bias => (self.bias?, self.types.bias),
                    _ => (self.keep?, self.types.keep),
                };
                let sizes = [s.batch, s.q_heads, s.q_len, tensors.columns];
                View { layout: tensors.layout, ..View::dense(tensor, sizes, dtype) }
            }
            Tensor::Slopes => match self.alibi? {
                Slopes::Head => list(s.q_heads, DType::F32),
                Slopes::BatchHead => View::dense(tensor, [1, 1, self.items(), s.q_heads], DType::F32),
            },
            Tensor::Sinks if self.sinks => list(s.q_heads, DType::F32),
            Tensor::KvLens if self.kv_lens => list(s.batch, DType::U32),
            Tensor::BlockMask => list(u32::try_from(self.block_mask?.words()).ok()?, DType::U32),
            Tensor::CuQ | Tensor::CuK => list(self.sequences?.saturating_add(1), DType::U32),
            Tensor::Cos | Tensor::Sin | Tensor::Positions => {
                let append = self.append?;
                append.rotary?.view(tensor, s.batch, append.len)?
            }
            Tensor::Lse if self.lse => {
                View { written: true, ..View::dense(tensor, [s.batch, s.q_heads, s.q_len, 1], DType::F32) }
            }
            Tensor::ScoreWeights if self.additive => View::dense(tensor, [1, 1, s.q_heads, s.head_dim], DType::F32),
            Tensor::GridBias => {
                let grid = self.grid.filter(|grid| grid.biased)?;
                let side = grid.window.saturating_mul(2).saturating_sub(1);
                View::dense(tensor, [1, s.q_heads, side, side], DType::F32)
            }
            Tensor::HeadScales if self.head_scales => list(s.q_heads, DType::F32),
            Tensor::Weights if self.weights => self.pairs(tensor),
            Tensor::Scores if self.scores.is_some() => self.pairs(tensor),
            _ => return None,
        };
        Some(view)
    }

    /// A tensor that has an order and a layout of choice.
    fn rows(&self, tensor: Tensor, sizes: [u32; 4], dtype: DType, written: bool) -> View {
        let layout = self.layouts[tensor as usize];
        let layout = layout.unwrap_or_else(|| self.order.layout(sizes[1], sizes[2], sizes[3]));
        View { tensor, sizes, layout, dtype, written }
    }

    /// A dense f32 output of the heads and rows of [`Spec::only`] and every key.
    fn pairs(&self, tensor: Tensor) -> View {
        let [heads, rows] = self.only_or_all();
        let sizes = [self.shape.batch, heads.len() as u32, rows.len() as u32, self.shape.kv_len];
        View { written: true, ..View::dense(tensor, sizes, DType::F32) }
    }

    /// The tensors of this problem.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        Tensor::ALL.into_iter().filter_map(|tensor| self.view(tensor))
    }
}
