//! What shaders call their tensors.

use crate::tensor::Tensor;

/// The name under which a shader knows a tensor, whichever tensor of the problem is bound there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Usually the tensor of that name.
    Of(Tensor),
    /// Row states in the workspace: two numbers of each row.
    States,
    /// Tile classes in the workspace: two bits of each tile.
    Classes,
    /// A small input that is packed into the workspace.
    Small,
    /// An output that is cleared.
    Cleared,
}

impl Slot {
    /// Its name in the text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Of(tensor) => tensor.name(),
            Self::States => "states",
            Self::Classes => "classes",
            Self::Small => "small",
            Self::Cleared => "cleared",
        }
    }

    /// The number of its binding, the same in all kernels; 0 is the uniform.
    #[must_use]
    pub const fn binding(self) -> u32 {
        let others = 1 + Tensor::ALL.len() as u32;
        match self {
            Self::Of(tensor) => 1 + tensor as u32,
            Self::States => others,
            Self::Classes => others + 1,
            Self::Small => others + 2,
            Self::Cleared => others + 3,
        }
    }
}

impl From<Tensor> for Slot {
    fn from(tensor: Tensor) -> Self {
        Self::Of(tensor)
    }
}
