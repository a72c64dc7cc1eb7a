//! The sizes of a problem, and the small choices that a spec is made of.

use crate::tensor::{dtype::DType, layout::Layout};

/// Sizes of one attention problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Independent items.
    pub batch: u32,
    /// Heads of q, out, lse and weights.
    pub q_heads: u32,
    /// Heads of k and v. Divides `q_heads`: query head `h` reads key head `h / (q_heads / kv_heads)`.
    /// Fewer than `q_heads` is grouped-query attention (GQA), 1 is multi-query attention (MQA).
    pub kv_heads: u32,
    /// Query rows of each head.
    pub q_len: u32,
    /// Keys of each head.
    pub kv_len: u32,
    /// Elements of a query and of a key, 1 to 512.
    pub head_dim: u32,
    /// Elements of a value and of an output row, 1 to 512.
    pub value_dim: u32,
}

/// Which scores [`Spec::scores`](crate::Spec::scores) writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScoreStage {
    /// `scale * dot(q, k)`, or the additive score in the place of the product, of every pair, seen or not; -inf where the key does not
    /// exist (past a length, or outside the query's sequence).
    Scaled,
    /// The same after [`Spec::softcap`](crate::Spec::softcap).
    Capped,
    /// The same after bias, ALiBi and mask: -inf where the query does not see the key.
    Masked,
}

/// One slope per query head, or one per batch item (or packed sequence) and query head
/// ([`Spec::alibi`](crate::Spec::alibi)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slopes {
    /// `[q_heads]`.
    Head,
    /// `[batch, q_heads]`; with packed sequences `[sequences, q_heads]`.
    BatchHead,
}

impl Slopes {
    /// The slopes of ALiBi for this number of heads: powers of `2^(-8 / heads)`; where that is no power of two, those of the power below
    /// and then every other one of the power above (Press et al. 2022, section 3 and its published code).
    ///
    /// ```
    /// use wgpu_attention::Slopes;
    /// assert_eq!(Slopes::of_heads(8)[..3], [0.5, 0.25, 0.125]);
    /// assert_eq!(Slopes::of_heads(3), [0.0625, 0.00390625, 0.25]);
    /// ```
    #[must_use]
    pub fn of_heads(heads: u32) -> Vec<f32> {
        let power = 1_u64 << heads.max(1).ilog2();
        let slopes = |count: u64| (1..=count).map(move |n| (-8.0 * n as f64 / count as f64).exp2() as f32);
        slopes(power).chain(slopes(2 * power).step_by(2)).take(heads as usize).collect()
    }
}

/// A score-shaped tensor `[batch, q_heads, q_len, columns]`, broadcast by strides of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScoreTensor {
    pub(crate) layout: Layout,
    pub(crate) columns: u32,
}

/// Query heads and query rows, each as first and one past the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) heads: [u32; 2],
    pub(crate) rows: [u32; 2],
}

/// The element type of each tensor that has a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Types {
    pub(crate) q: DType,
    pub(crate) kv: DType,
    pub(crate) out: DType,
    pub(crate) bias: DType,
    pub(crate) keep: DType,
    pub(crate) new: Option<DType>,
}

impl Default for Types {
    fn default() -> Self {
        let float = DType::F32;
        Self { q: float, kv: float, out: float, bias: float, keep: DType::Bool, new: None }
    }
}
