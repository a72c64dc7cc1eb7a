//! The tensors of attention: which there are, their shapes, layouts and types.

use crate::{
    problem::{
        attention::{
            shape::{ScoreTensor, Slopes},
            spec::{Append, Spec},
        },
        setters::Storage,
    },
    tensor::{Tensor, dtype::DType, view::View},
};

impl Spec {
    /// The queries, which every spec has.
    pub(crate) fn q_view(&self) -> View {
        let s = &self.shape;
        self.rows(Tensor::Q, [s.batch, s.q_heads, s.q_len, s.head_dim], self.types.q)
    }

    /// The keys, which every spec has, and to which the device appends.
    pub(crate) fn k_view(&self) -> View {
        let s = &self.shape;
        let k = self.rows(Tensor::K, [s.batch, s.kv_heads, s.kv_len, s.head_dim], self.types.kv);
        View { written: self.append.is_some(), ..k }
    }

    /// The values, likewise.
    pub(crate) fn v_view(&self) -> View {
        let s = &self.shape;
        let v = self.rows(Tensor::V, [s.batch, s.kv_heads, s.kv_len, s.value_dim], self.types.kv);
        View { written: self.append.is_some(), ..v }
    }

    /// The keys that are appended.
    pub(crate) fn new_k_view(&self, append: Append) -> View {
        let s = &self.shape;
        self.rows(Tensor::NewK, [s.batch, s.kv_heads, append.len, s.head_dim], self.types.new.unwrap_or(self.types.kv))
    }

    /// The values that are appended.
    pub(crate) fn new_v_view(&self, append: Append) -> View {
        let s = &self.shape;
        self.rows(Tensor::NewV, [s.batch, s.kv_heads, append.len, s.value_dim], self.types.new.unwrap_or(self.types.kv))
    }

    /// Shape, layout and type of a tensor of this problem; `None` where the problem has no such tensor.
    #[must_use]
    pub fn view(&self, tensor: Tensor) -> Option<View> {
        let s = &self.shape;
        let list = |len: u32, dtype| View::dense(tensor, [1, 1, 1, len], dtype);
        let of_scores = |ScoreTensor { layout, columns }, dtype| View {
            layout,
            ..View::dense(tensor, [s.batch, s.q_heads, s.q_len, columns], dtype)
        };
        let view = match tensor {
            Tensor::Q => self.q_view(),
            Tensor::K => self.k_view(),
            Tensor::V => self.v_view(),
            Tensor::Out if self.out => {
                self.rows(tensor, [s.batch, s.q_heads, s.q_len, s.value_dim], self.types.out).written()
            }
            Tensor::NewK => self.new_k_view(self.append?),
            Tensor::NewV => self.new_v_view(self.append?),
            Tensor::Bias => of_scores(self.bias?, self.types.bias),
            Tensor::Keep => of_scores(self.keep?, self.types.keep),
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
            Tensor::Lse if self.lse => View::dense(tensor, [s.batch, s.q_heads, s.q_len, 1], DType::F32).written(),
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
    fn rows(&self, tensor: Tensor, sizes: [u32; 4], dtype: DType) -> View {
        Storage { layout: self.layouts[tensor as usize], dtype }.view_in(self.order, tensor, sizes)
    }

    /// A dense f32 output of the heads and rows of [`Spec::only`] and every key.
    fn pairs(&self, tensor: Tensor) -> View {
        let [heads, rows] = self.only_or_all();
        let sizes = [self.shape.batch, heads.len() as u32, rows.len() as u32, self.shape.kv_len];
        View::dense(tensor, sizes, DType::F32).written()
    }

    /// The tensors of this problem.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        Tensor::ALL.into_iter().filter_map(|tensor| self.view(tensor))
    }
}
