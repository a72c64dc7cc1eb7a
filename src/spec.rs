//! What to compute.

use crate::{
    dtype::DType,
    layout::{Layout, Order},
    mask::{Align, Band, Mask},
    shape::{Bits, ScoreStage, ScoreTensor, Shape, Slopes, Types},
    tensor::Tensor,
};

/// What to compute: `softmax(scale * q kᵀ, over the keys that the mask lets a query see) v`, for every batch item and head.
///
/// A `Spec` is plain data: it needs no device, and two equal ones are the same plan. Everything starts from a [`Shape`];
/// setters change one thing each.
///
/// | | unless set |
/// |---|---|
/// | [`mask`](Self::mask) | every key |
/// | [`align`](Self::align) | none: planning fails if the mask needs it |
/// | [`scale`](Self::scale) | `1 / sqrt(head_dim)` |
/// | [`order`](Self::order) | dense `[batch, heads, len, dim]` |
/// | outputs | `out` |
///
/// ```
/// use wgpu_attention::{Align, Mask, Shape, Spec};
/// let shape =
///     Shape { batch: 1, q_heads: 32, kv_heads: 8, q_len: 1, kv_len: 4096, head_dim: 128, value_dim: 128 };
/// let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End).lse();
/// assert_eq!(spec.check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Spec {
    pub(crate) shape: Shape,
    pub(crate) mask: Mask,
    pub(crate) align: Option<Align>,
    pub(crate) scale: Option<Bits>,
    pub(crate) order: Order,
    /// Of q, k, v and out, in the order of [`Tensor`].
    pub(crate) layouts: [Option<Layout>; 4],
    pub(crate) types: Types,
    pub(crate) lse: bool,
    pub(crate) weights: bool,
    pub(crate) scores: Option<ScoreStage>,
    pub(crate) shared_buffer: bool,
    pub(crate) softcap: Option<Bits>,
    pub(crate) bias: Option<ScoreTensor>,
    pub(crate) keep: Option<ScoreTensor>,
    pub(crate) alibi: Option<Slopes>,
    pub(crate) sinks: bool,
    pub(crate) kv_lens: bool,
    pub(crate) append: bool,
    pub(crate) sequences: Option<u32>,
    pub(crate) block_mask: Option<u32>,
}

impl Spec {
    /// Attention of this shape over every key, f32, dense `[batch, heads, len, dim]`.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            mask: Mask::FULL,
            align: None,
            scale: None,
            order: Order::default(),
            layouts: [None; 4],
            types: Types::default(),
            lse: false,
            weights: false,
            scores: None,
            shared_buffer: false,
            softcap: None,
            bias: None,
            keep: None,
            alibi: None,
            sinks: false,
            kv_lens: false,
            append: false,
            sequences: None,
            block_mask: None,
        }
    }

    /// Which keys each query sees. Needs [`align`](Self::align), [`Mask::FULL`] aside.
    pub fn mask(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Where query 0 stands among the keys, for causal masks, windows and ALiBi alike.
    pub fn align(mut self, align: Align) -> Self {
        self.align = Some(align);
        self
    }

    /// Factor on the scores: any finite number.
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = Some(Bits::of(scale));
        self
    }

    /// Dense order of q, k, v and out; layouts set by name win over it.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Layout of q `[batch, q_heads, q_len, head_dim]`.
    pub fn q_layout(self, layout: Layout) -> Self {
        self.layout(Tensor::Q, layout)
    }

    /// Layout of k `[batch, kv_heads, kv_len, head_dim]`.
    pub fn k_layout(self, layout: Layout) -> Self {
        self.layout(Tensor::K, layout)
    }

    /// Layout of v `[batch, kv_heads, kv_len, value_dim]`.
    pub fn v_layout(self, layout: Layout) -> Self {
        self.layout(Tensor::V, layout)
    }

    /// Layout of out `[batch, q_heads, q_len, value_dim]`.
    pub fn out_layout(self, layout: Layout) -> Self {
        self.layout(Tensor::Out, layout)
    }

    fn layout(mut self, tensor: Tensor, layout: Layout) -> Self {
        self.layouts[tensor as usize] = Some(layout);
        self
    }

    /// Element type of q. Not yet built: anything but f32.
    pub fn q_type(mut self, dtype: DType) -> Self {
        self.types.q = dtype;
        self
    }

    /// Element type of k and v. Not yet built: anything but f32.
    pub fn kv_type(mut self, dtype: DType) -> Self {
        self.types.kv = dtype;
        self
    }

    /// Element type of out. Not yet built: anything but f32.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types.out = dtype;
        self
    }

    /// Element type of the bias. Not yet built: anything but f32.
    pub fn bias_type(mut self, dtype: DType) -> Self {
        self.types.bias = dtype;
        self
    }

    /// Also writes the log-sum-exp of each row: `[batch, q_heads, q_len]` f32, natural logarithm, -inf for a row that sees no key.
    pub fn lse(mut self) -> Self {
        self.lse = true;
        self
    }

    /// Also writes the attention weights: `[batch, q_heads, q_len, kv_len]` f32. Costs that much memory and traffic.
    pub fn weights(mut self) -> Self {
        self.weights = true;
        self
    }

    /// Also writes the scores of one stage: `[batch, q_heads, q_len, kv_len]` f32.
    pub fn scores(mut self, stage: ScoreStage) -> Self {
        self.scores = Some(stage);
        self
    }

    /// The bindings may lie in one buffer, apart from each other, as pool allocators have it.
    ///
    /// Every binding is then declared writable, which browsers refuse for one buffer; native backends accept it.
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
    }

    /// Replaces each score `s` by `cap * tanh(s / cap)` before bias and mask. Not yet built.
    pub fn softcap(mut self, cap: f32) -> Self {
        self.softcap = Some(Bits::of(cap));
        self
    }

    /// Adds a bias `[batch, q_heads, q_len, columns]` to the scores, broadcast by strides of 0; keys past `columns` are
    /// hidden. Not yet built.
    pub fn bias(mut self, layout: Layout, columns: u32) -> Self {
        self.bias = Some(ScoreTensor { layout, columns });
        self
    }

    /// Hides the keys for which a boolean `[batch, q_heads, q_len, columns]` is false; keys past `columns` are hidden.
    /// Not yet built.
    pub fn keep(mut self, layout: Layout, columns: u32) -> Self {
        self.keep = Some(ScoreTensor { layout, columns });
        self
    }

    /// Subtracts `slope * |distance|` from the scores (ALiBi, Press et al. 2022). Not yet built.
    pub fn alibi(mut self, slopes: Slopes) -> Self {
        self.alibi = Some(slopes);
        self
    }

    /// One learned logit per query head `[q_heads]`, in the softmax denominator alone. Not yet built.
    pub fn sinks(mut self) -> Self {
        self.sinks = true;
        self
    }

    /// The keys of each batch item `[batch]` u32, read on the device; `kv_len` is then a capacity. Not yet built.
    pub fn kv_lens(mut self) -> Self {
        self.kv_lens = true;
        self
    }

    /// Appends new keys and values to the cache in k and v first, at the length read on the device. Not yet built.
    pub fn append(mut self) -> Self {
        self.append = true;
        self
    }

    /// Packed sequences of unequal lengths, cumulative lengths `[sequences + 1]` read on the device. Not yet built.
    pub fn packed(mut self, sequences: u32) -> Self {
        self.sequences = Some(sequences);
        self
    }

    /// Computes only the key tiles that a block mask lists, in tiles of so many keys. Not yet built.
    pub fn block_mask(mut self, block: u32) -> Self {
        self.block_mask = Some(block);
        self
    }

    /// The sizes.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The factor on the scores.
    #[must_use]
    pub fn scale_or_default(&self) -> f32 {
        self.scale.map_or_else(|| (f64::from(self.shape.head_dim).sqrt().recip()) as f32, Bits::get)
    }

    /// The key at which query 0 stands; 0 where no mask asks.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.align.map_or(0, |align| align.offset(self.shape.q_len, self.shape.kv_len))
    }

    /// Whether query `i` sees key `j`.
    #[must_use]
    pub fn sees(&self, i: u32, j: u32) -> bool {
        self.mask.sees(self.offset(), i, j)
    }

    /// The mask as a range of `j - i`.
    #[must_use]
    pub fn band(&self) -> Band {
        self.mask.band(self.offset())
    }
}
