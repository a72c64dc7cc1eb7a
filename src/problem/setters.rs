//! What a caller chooses of the tensors of a problem, and the setters that several problems share.

use crate::tensor::{
    Tensor,
    dtype::DType,
    layout::{Layout, Order},
    view::View,
};

/// How one tensor is stored: its layout, unless it is dense, and its element type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Storage {
    pub(crate) layout: Option<Layout>,
    pub(crate) dtype: DType,
}

impl Storage {
    /// An input of these sizes, dense in the order of its sizes unless a layout was chosen.
    pub(crate) fn view(self, tensor: Tensor, sizes: [u32; 4]) -> View {
        self.view_in(Order::Bhsd, tensor, sizes)
    }

    /// An input of these sizes, dense in this order unless a layout was chosen.
    pub(crate) fn view_in(self, order: Order, tensor: Tensor, sizes: [u32; 4]) -> View {
        let [_, heads, rows, dim] = sizes;
        let layout = self.layout.unwrap_or_else(|| order.layout(heads, rows, dim));
        View { tensor, sizes, layout, dtype: self.dtype, written: false }
    }
}

/// Writes the setters of a problem: one for each line, which says what part of which [`Storage`] it sets, and that of
/// its shared buffer.
macro_rules! setters {
    ($($(#[$doc:meta])* $setter:ident($Type:ty) sets $tensor:ident.$part:ident,)*) => {
        $($(#[$doc])*
        pub fn $setter(mut self, $part: $Type) -> Self {
            self.$tensor.$part = $part.into();
            self
        })*

        /// The bindings may lie in one buffer ([`Spec::shared_buffer`](crate::Spec::shared_buffer)).
        pub fn shared_buffer(mut self) -> Self {
            self.shared_buffer = true;
            self
        }

        /// Whether its bindings may lie in one buffer.
        pub(crate) const fn shares_buffer(&self) -> bool {
            self.shared_buffer
        }
    };
}

pub(crate) use setters;
