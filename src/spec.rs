//! What to compute.

use crate::{
    dtype::DType,
    layout::{Layout, Order},
    mask::{Align, Band, Mask},
    tensor::{Tensor, View},
};

/// Largest `head_dim` and `value_dim`.
pub const MAX_DIM: u32 = 512;

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

/// Which scores [`Spec::scores`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScoreStage {
    /// `scale * dot(q, k)`, of every pair, seen or not.
    Scaled,
    /// The same after [`Spec::softcap`].
    Capped,
    /// The same after bias, ALiBi and mask: -inf where the query does not see the key.
    Masked,
}

/// One slope per query head, or one per batch item and query head ([`Spec::alibi`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slopes {
    /// `[q_heads]`.
    Head,
    /// `[batch, q_heads]`.
    BatchHead,
}

/// A finite f32 that can be a key: equal when its bits are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bits(u32);

impl Bits {
    pub(crate) const fn of(x: f32) -> Self {
        Self(x.to_bits())
    }

    pub(crate) const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// A score-shaped tensor `[batch, q_heads, q_len, columns]`, broadcast by strides of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScoreTensor {
    pub(crate) layout: Layout,
    pub(crate) columns: u32,
}

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
    pub(crate) layouts: [Option<Layout>; 4],
    pub(crate) types: [DType; 4],
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
            types: [DType::F32; 4],
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
        self.types[0] = dtype;
        self
    }

    /// Element type of k and v. Not yet built: anything but f32.
    pub fn kv_type(mut self, dtype: DType) -> Self {
        self.types[1] = dtype;
        self
    }

    /// Element type of out. Not yet built: anything but f32.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types[2] = dtype;
        self
    }

    /// Element type of the bias. Not yet built: anything but f32.
    pub fn bias_type(mut self, dtype: DType) -> Self {
        self.types[3] = dtype;
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

    /// Shape, layout and type of a tensor of this problem; `None` where the problem has no such tensor.
    #[must_use]
    pub fn view(&self, tensor: Tensor) -> Option<View> {
        let s = &self.shape;
        let (wanted, sizes, dtype, written) = match tensor {
            Tensor::Q => (true, [s.batch, s.q_heads, s.q_len, s.head_dim], self.types[0], false),
            Tensor::K => (true, [s.batch, s.kv_heads, s.kv_len, s.head_dim], self.types[1], false),
            Tensor::V => (true, [s.batch, s.kv_heads, s.kv_len, s.value_dim], self.types[1], false),
            Tensor::Out => (true, [s.batch, s.q_heads, s.q_len, s.value_dim], self.types[2], true),
            Tensor::Lse => (self.lse, [s.batch, s.q_heads, s.q_len, 1], DType::F32, true),
            Tensor::Weights => return self.weights.then(|| self.pairs(tensor)),
            Tensor::Scores => return self.scores.map(|_| self.pairs(tensor)),
            Tensor::Workspace => return None,
        };
        let order = if (tensor as usize) < self.layouts.len() { self.order } else { Order::Bhsd };
        let dense = order.layout(sizes[1], sizes[2], sizes[3]);
        let layout = self.layouts.get(tensor as usize).copied().flatten().unwrap_or(dense);
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
