//! Where each tensor of a problem lies in memory.

use crate::{
    error::Error,
    tensor::{
        Tensor,
        dtype::DType,
        layout::{Layout, Order},
    },
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

    /// The same, written by the device.
    pub(crate) const fn written(self) -> Self {
        Self { written: true, ..self }
    }

    /// Whether its elements lie side by side, in either dense order, from the start on.
    pub(crate) fn is_dense(&self) -> bool {
        let [_, heads, rows, dim] = self.sizes;
        [Order::Bhsd, Order::Bshd].iter().any(|order| self.layout == order.layout(heads, rows, dim))
    }

    /// Whether it has a size, and no two elements at one address where it is written.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.bytes()?;
        let (name, layout) = (self.tensor.name(), self.layout);
        if self.written && !layout.is_injective(self.sizes) {
            let (batch, head, row) = (layout.batch, layout.head, layout.row);
            return Err(Error::Strides { name, batch, head, row });
        }
        Ok(())
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
