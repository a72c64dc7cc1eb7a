//! The tensors of a problem: their names, and their values in host memory.

use crate::{error::Error, spec::Spec};

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

/// The inputs of a problem in host memory, laid out as the spec says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
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
#[non_exhaustive]
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

impl<T> Outputs<T> {
    /// An output and nothing else, for instance to [`check`](crate::reference::check) what a device of yours computed.
    #[must_use]
    pub const fn of(out: Vec<T>) -> Self {
        Self { out, lse: None, weights: None, scores: None }
    }

    /// One output by its tensor; `None` where it was not asked for.
    #[must_use]
    pub fn get(&self, tensor: Tensor) -> Option<&[T]> {
        match tensor {
            Tensor::Out => Some(&self.out),
            Tensor::Lse => self.lse.as_deref(),
            Tensor::Weights => self.weights.as_deref(),
            Tensor::Scores => self.scores.as_deref(),
            Tensor::Q | Tensor::K | Tensor::V | Tensor::Workspace => None,
        }
    }
}

impl<'a> Inputs<'a> {
    /// Queries, keys, values.
    #[must_use]
    pub const fn new(q: &'a [f32], k: &'a [f32], v: &'a [f32]) -> Self {
        Self { q, k, v }
    }

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
