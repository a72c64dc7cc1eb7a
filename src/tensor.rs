//! The tensors of a problem: their names, and what one looks like in memory.

use crate::{dtype::DType, error::Error, layout::Layout, spec::Spec};

/// A tensor that can be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tensor {
    /// Queries `[batch, q_heads, q_len, head_dim]`.
    Q,
    /// Keys `[batch, kv_heads, kv_len, head_dim]`.
    K,
    /// Values `[batch, kv_heads, kv_len, value_dim]`.
    V,
    /// Output `[batch, q_heads, q_len, value_dim]`.
    Out,
    /// Log-sum-exp of each row `[batch, q_heads, q_len]` f32.
    Lse,
    /// Attention weights `[batch, q_heads, q_len, kv_len]` f32.
    Weights,
    /// Scores of one stage `[batch, q_heads, q_len, kv_len]` f32.
    Scores,
    /// Scratch memory of the plan, [`Plan::workspace_bytes`](crate::Plan::workspace_bytes) long.
    Workspace,
}

impl Tensor {
    /// All of them, inputs first.
    pub const ALL: [Self; 8] =
        [Self::Q, Self::K, Self::V, Self::Out, Self::Lse, Self::Weights, Self::Scores, Self::Workspace];

    /// Its name in messages, shaders and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::Out => "out",
            Self::Lse => "lse",
            Self::Weights => "weights",
            Self::Scores => "scores",
            Self::Workspace => "workspace",
        }
    }
}

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
        if elements > max { Err(Error::TooLarge { name, got: elements, max }) } else { Ok(elements) }
    }

    /// Bytes that a binding of it must have, a multiple of 4.
    pub fn bytes(&self) -> Result<u64, Error> {
        Ok((self.extent()? * self.dtype.size()).next_multiple_of(4))
    }
}

/// The inputs of a problem in host memory, laid out as the spec says.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Queries.
    pub q: &'a [f32],
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
}

/// The outputs of a problem in host memory, laid out as the spec says: f32 from a device, f64 from the oracle.
///
/// Elements of `out` that no index reaches (gaps between strides) are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<T> {
    /// `[batch, q_heads, q_len, value_dim]` in its layout.
    pub out: Vec<T>,
    /// `[batch, q_heads, q_len]`, where asked for.
    pub lse: Option<Vec<T>>,
    /// `[batch, q_heads, q_len, kv_len]`, where asked for.
    pub weights: Option<Vec<T>>,
    /// `[batch, q_heads, q_len, kv_len]`, where asked for.
    pub scores: Option<Vec<T>>,
}

impl Inputs<'_> {
    /// Whether each slice reaches as far as its tensor.
    pub fn check(&self, spec: &Spec) -> Result<(), Error> {
        for (tensor, slice) in self.slices() {
            let needs = spec.view(tensor).map_or(Ok(0), |view| view.extent())? as usize;
            let got = slice.len();
            if got < needs {
                return Err(Error::Input { name: tensor.name(), got, needs });
            }
        }
        Ok(())
    }

    pub(crate) fn slices(&self) -> [(Tensor, &[f32]); 3] {
        [(Tensor::Q, self.q), (Tensor::K, self.k), (Tensor::V, self.v)]
    }
}
