//! Where each tensor of a problem lies in memory.

use crate::{
    dtype::DType,
    error::Error,
    layout::{Layout, Order},
    spec::Spec,
    tensor::Tensor,
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
    /// One past the last element it reaches, or why there is none: shaders address with 32 bits.
    pub fn extent(&self) -> Result<u64, Error> {
        let name = self.tensor.name();
        let elements = self.layout.extent(self.sizes).ok_or(Error::Overflow { name })?;
        let max = u64::from(u32::MAX);
        if elements > max { Err(Error::Reach { name, elements, max }) } else { Ok(elements) }
    }

    /// Bytes that a binding of it must have, a multiple of 4.
    pub fn bytes(&self) -> Result<u64, Error> {
        Ok((self.extent()? * self.dtype.size()).next_multiple_of(4))
    }
}

impl Spec {
    /// Shape, layout and type of a tensor of this problem; `None` where the problem has no such tensor.
    #[must_use]
    pub fn view(&self, tensor: Tensor) -> Option<View> {
        let s = &self.shape;
        let (wanted, sizes, dtype, written) = match tensor {
            Tensor::Q => (true, [s.batch, s.q_heads, s.q_len, s.head_dim], self.types.q, false),
            Tensor::K => (true, [s.batch, s.kv_heads, s.kv_len, s.head_dim], self.types.kv, false),
            Tensor::V => (true, [s.batch, s.kv_heads, s.kv_len, s.value_dim], self.types.kv, false),
            Tensor::Out => (true, [s.batch, s.q_heads, s.q_len, s.value_dim], self.types.out, true),
            Tensor::Lse => (self.lse, [s.batch, s.q_heads, s.q_len, 1], DType::F32, true),
            Tensor::Weights => return self.weights.then(|| self.pairs(tensor)),
            Tensor::Scores => return self.scores.map(|_| self.pairs(tensor)),
            Tensor::Workspace => return None,
        };
        // Only q, k, v and out have an order and layouts of choice.
        let (order, chosen) = match self.layouts.get(tensor as usize) {
            Some(layout) => (self.order, *layout),
            None => (Order::Bhsd, None),
        };
        let layout = chosen.unwrap_or_else(|| order.layout(sizes[1], sizes[2], sizes[3]));
        wanted.then_some(View { tensor, sizes, layout, dtype, written })
    }

    /// A dense f32 `[batch, q_heads, q_len, kv_len]`.
    pub(crate) fn pairs(&self, tensor: Tensor) -> View {
        let s = &self.shape;
        let layout = Order::Bhsd.layout(s.q_heads, s.q_len, s.kv_len);
        View { tensor, sizes: [s.batch, s.q_heads, s.q_len, s.kv_len], layout, dtype: DType::F32, written: true }
    }

    /// The tensors of this problem, inputs first.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        Tensor::ALL.into_iter().filter_map(|tensor| self.view(tensor))
    }
}
