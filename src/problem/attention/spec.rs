//! What to compute.

use std::ops::Range;

use crate::{
    problem::{
        attention::{
            block_mask::BlockForm,
            grid::Grid,
            mask::{Align, Band, Mask},
            shape::{Part, ScoreStage, ScoreTensor, Shape, Slopes, Types},
        },
        limits::Bits,
        rope::Rotary,
    },
    tensor::{
        Tensor,
        dtype::DType,
        layout::{Layout, Order},
    },
};

/// What to compute: `softmax(scale * q kᵀ, over the keys that a query sees) v`, for every batch item and head.
///
/// A `Spec` is plain data: it needs no device, and two equal ones are the same plan. Everything starts from a [`Shape`];
/// setters change one thing each.
///
/// | | unless set |
/// |---|---|
/// | [`mask`](Self::mask) | every key |
/// | [`align`](Self::align) | none: planning fails if the mask needs it |
/// | [`scale`](Self::scale) | `1 / sqrt(head_dim)`; 1 with [`additive`](Self::additive) |
/// | [`order`](Self::order) | dense `[batch, heads, len, dim]` |
/// | types | f32, keep-masks in bytes |
/// | outputs | `out` |
///
/// A score is made in this order: product or additive score, scale, softcap, bias, ALiBi, and then what hides a key: the mask, the
/// keep-mask, the block mask, the place in a grid, -inf in the bias, a length, the edge of a sequence.
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
    /// Of q, k, v, out, new_k and new_v, in the order of [`Tensor`].
    pub(crate) layouts: [Option<Layout>; 6],
    pub(crate) types: Types,
    pub(crate) out: bool,
    pub(crate) lse: bool,
    pub(crate) weights: bool,
    pub(crate) scores: Option<ScoreStage>,
    pub(crate) only: Option<Part>,
    pub(crate) shared_buffer: bool,
    pub(crate) softcap: Option<Bits>,
    pub(crate) bias: Option<ScoreTensor>,
    pub(crate) keep: Option<ScoreTensor>,
    pub(crate) alibi: Option<Slopes>,
    pub(crate) sinks: bool,
    pub(crate) kv_lens: bool,
    pub(crate) append: Option<Append>,
    pub(crate) sequences: Option<u32>,
    pub(crate) block_mask: Option<BlockForm>,
    pub(crate) additive: bool,
    pub(crate) head_scales: bool,
    pub(crate) grid: Option<Grid>,
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
            layouts: [None; 6],
            types: Types::default(),
            out: true,
            lse: false,
            weights: false,
            scores: None,
            only: None,
            shared_buffer: false,
            softcap: None,
            bias: None,
            keep: None,
            alibi: None,
            sinks: false,
            kv_lens: false,
            append: None,
            sequences: None,
            block_mask: None,
            additive: false,
            head_scales: false,
            grid: None,
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
    ///
    /// With scale 1 and the rows of a matrix `W` as keys this is location-based attention, whose weights are `softmax(W h)`; with
    /// queries or keys that a linear layer made, `h . W s`, the general score (Luong, Pham and Manning 2015, equation 8).
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = Some(Bits::of(scale));
        self
    }

    /// Dense order of q, k, v, out and what is appended; layouts set by name win over it.
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

    /// Layouts of the keys and values to append, `[batch, kv_heads, len, dim]` both.
    pub fn new_layouts(self, k: Layout, v: Layout) -> Self {
        self.layout(Tensor::NewK, k).layout(Tensor::NewV, v)
    }

    fn layout(mut self, tensor: Tensor, layout: Layout) -> Self {
        self.layouts[tensor as usize] = Some(layout);
        self
    }

    /// Element type of q: a float.
    pub fn q_type(mut self, dtype: DType) -> Self {
        self.types.q = dtype;
        self
    }

    /// Element type of k and v: a float.
    pub fn kv_type(mut self, dtype: DType) -> Self {
        self.types.kv = dtype;
        self
    }

    /// Element type of out: a float.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types.out = dtype;
        self
    }

    /// Element type of the bias: a float.
    pub fn bias_type(mut self, dtype: DType) -> Self {
        self.types.bias = dtype;
        self
    }

    /// Element type of the keep-mask: [`DType::Bool`] or [`DType::Bit`].
    pub fn keep_type(mut self, dtype: DType) -> Self {
        self.types.keep = dtype;
        self
    }

    /// Element type of the keys and values to append: a float, that of k and v unless set. They are rounded to that of k and v.
    pub fn new_type(mut self, dtype: DType) -> Self {
        self.types.new = Some(dtype);
        self
    }

    /// Writes no out: for those who want only the log-sum-exp, weights or scores. The values are then not read.
    pub fn without_out(mut self) -> Self {
        self.out = false;
        self
    }

    /// Also writes the log-sum-exp of each row: `[batch, q_heads, q_len]` f32, natural logarithm, -inf for a row that sees no
    /// key. Sinks do not count.
    pub fn lse(mut self) -> Self {
        self.lse = true;
        self
    }

    /// Also writes the attention weights: `[batch, q_heads, q_len, kv_len]` f32. Costs that much memory and traffic, and a second
    /// look at the keys; [`only`](Self::only) limits all three.
    pub fn weights(mut self) -> Self {
        self.weights = true;
        self
    }

    /// Also writes the scores of one stage: `[batch, q_heads, q_len, kv_len]` f32, or of what [`only`](Self::only) leaves.
    pub fn scores(mut self, stage: ScoreStage) -> Self {
        self.scores = Some(stage);
        self
    }

    /// Limits weights and scores to these query heads and rows: they are then `[batch, heads.len(), rows.len(), kv_len]`.
    ///
    /// With [`without_out`](Self::without_out) and no lse, nothing is computed for other rows.
    pub fn only(mut self, heads: Range<u32>, rows: Range<u32>) -> Self {
        self.only = Some(Part { heads: [heads.start, heads.end], rows: [rows.start, rows.end] });
        self
    }

    /// The bindings may lie in one buffer, apart from each other, as pool allocators have it.
    ///
    /// Every binding is then declared writable, which browsers refuse for one buffer; native backends accept it.
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
    }

    /// Replaces each score `s` by `cap * tanh(s / cap)` before bias and mask.
    pub fn softcap(mut self, cap: f32) -> Self {
        self.softcap = Some(Bits::of(cap));
        self
    }

    /// Adds a bias `[batch, q_heads, q_len, columns]` to the scores, broadcast by strides of 0 ([`Layout::broadcast`]).
    ///
    /// Its numbers are finite, or -inf, which hides the key. Keys past `columns` are hidden. With packed sequences, rows and
    /// columns count through all of them.
    pub fn bias(mut self, layout: Layout, columns: u32) -> Self {
        self.bias = Some(ScoreTensor { layout, columns });
        self
    }

    /// Hides the keys for which a boolean `[batch, q_heads, q_len, columns]` is false, broadcast by strides of 0
    /// ([`Layout::broadcast`]).
    ///
    /// Keys past `columns` are hidden. What k and v hold of hidden keys must be finite. With packed sequences, rows and columns
    /// count through all of them.
    pub fn keep(mut self, layout: Layout, columns: u32) -> Self {
        self.keep = Some(ScoreTensor { layout, columns });
        self
    }

    /// Subtracts `slope * |distance|` from the scores, the distance of a key from where the query stands
    /// (ALiBi, Press et al. 2022). Needs [`align`](Self::align).
    pub fn alibi(mut self, slopes: Slopes) -> Self {
        self.alibi = Some(slopes);
        self
    }

    /// One learned logit per query head `[q_heads]` f32, in the softmax denominator alone.
    pub fn sinks(mut self) -> Self {
        self.sinks = true;
        self
    }

    /// The keys of each batch item `[batch]` u32, read on the device; `kv_len` is then a capacity, above which a length counts
    /// as it. What lies past a length may be NaN or infinite.
    pub fn kv_lens(mut self) -> Self {
        self.kv_lens = true;
        self
    }

    /// First appends `len` new keys and values to each batch item of the cache in k and v, in place, after the keys that
    /// [`kv_lens`](Self::kv_lens) says there are; the queries see them.
    ///
    /// Rows past the capacity `kv_len` are dropped, of which [`dropped`](Self::dropped) tells; queries stand where they would with room for
    /// all. The lengths themselves stay as they are: the caller adds `len` before the
    /// next call.
    pub fn append(mut self, len: u32) -> Self {
        self.kv_lens = true;
        self.append = Some(Append { len, rotary: None });
        self
    }

    /// [`append`](Self::append) with rotary embedding: the new keys are turned before they are stored, and the queries before they are
    /// scored, so pass both as the projections made them. `q` itself is left as it is.
    ///
    /// The queries are the last `q_len` rows of what is appended: query `i` turns by the angles of new row `len - q_len + i`, which for
    /// [`Angles::Appended`](crate::Angles::Appended) is position `kv_lens[b] + len - q_len + i`. Turned queries are f32 and lie in
    /// the workspace. Queries or keys that are turned already go with [`append`](Self::append).
    pub fn append_rotated(mut self, len: u32, rotary: Rotary) -> Self {
        self.kv_lens = true;
        self.append = Some(Append { len, rotary: Some(rotary) });
        self
    }

    /// Packed sequences of unequal lengths, side by side along `q_len` and `kv_len`, in a batch of one. Their cumulative
    /// lengths `[sequences + 1]` u32, for queries and for keys, are read on the device.
    ///
    /// Sequence `s` has the queries `cu_q[s]..cu_q[s + 1]` and the keys `cu_k[s]..cu_k[s + 1]` and sees no others; masks and
    /// ALiBi count inside it. Rows that belong to no sequence are not written.
    pub fn packed(mut self, sequences: u32) -> Self {
        self.sequences = Some(sequences);
        self
    }

    /// Computes only the blocks that a block mask of this form keeps ([`BlockMask`](crate::BlockMask)): time goes with what it keeps.
    ///
    /// It stands beside every other mask: a pair is seen where all of them see it. What k and v hold of keys that it hides must be finite.
    /// With packed sequences, rows and keys count through all of them. A device that binds 8 storage buffers gets a second pass where
    /// bias, keep-mask, block mask, out and lse all are there.
    pub fn block_mask(mut self, form: BlockForm) -> Self {
        self.block_mask = Some(form);
        self
    }

    /// Scores by a small network in the place of the product: `sum over d of w[h, d] * tanh(q[i, d] + k[j, d])` (Bahdanau, Cho and
    /// Bengio 2015, appendix A.1.2: `v . tanh(W s + U h)`).
    ///
    /// q and k are what linear layers made of the states, `W s` and `U h`. The input `score_weights [q_heads, head_dim]` f32 is `w`,
    /// finite. The [`scale`](Self::scale) is 1 unless set. The matrix kernel cannot compute it, and says so.
    ///
    /// Sums of `tanh` take no other inputs than products do; memory grows with the lengths alone.
    pub fn additive(mut self) -> Self {
        self.additive = true;
        self
    }

    /// Multiplies the scores of head `h` by an input `head_scales [q_heads]` f32, finite, beside the [`scale`](Self::scale).
    ///
    /// Of queries and keys of length 1 this is cosine attention with a learned temperature (Liu et al. 2022, "Swin Transformer V2",
    /// equation 2: `cos(q, k) / tau`): scale 1, and head scales `1 / tau` with `tau` at least 0.01, as the paper has it.
    pub fn head_scales(mut self) -> Self {
        self.head_scales = true;
        self
    }

    /// Queries and keys are the places of a grid, and a query sees those near it; masks hide more. `q_len` and `kv_len` are both
    /// its rows times its columns, and no lengths are read on the device.
    ///
    /// Time grows with the places times those in the rows of the grid that a block of queries sees.
    pub fn grid(mut self, grid: Grid) -> Self {
        self.grid = Some(grid);
        self
    }

    /// The same over queries that were turned with the keys of an append: dense and f32, each row whole vec4, in the workspace, which is
    /// bound twice. Unchanged where nothing turns.
    pub(crate) fn turned_queries(&self) -> Self {
        if self.append.and_then(|append| append.rotary).is_none() {
            return self.clone();
        }
        let s = self.shape;
        let layout = Order::Bhsd.layout(s.q_heads, s.q_len, s.head_dim.next_multiple_of(4));
        Self { shared_buffer: true, ..self.clone().q_type(DType::F32).q_layout(layout) }
    }

    /// How many of the rows to append each batch item has no room for, with these lengths before the append.
    #[must_use]
    pub fn dropped(&self, kv_lens: &[u32]) -> Vec<u32> {
        let (len, capacity) = (self.append.map_or(0, |append| append.len), self.shape.kv_len);
        kv_lens.iter().map(|&before| len.saturating_sub(capacity.saturating_sub(before))).collect()
    }

    /// The sizes.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What is known of the block mask, where there is one.
    #[must_use]
    pub const fn block_form(&self) -> Option<BlockForm> {
        self.block_mask
    }

    /// The factor on the scores.
    #[must_use]
    pub fn scale_or_default(&self) -> f32 {
        let root = if self.additive { 1.0 } else { f64::from(self.shape.head_dim).sqrt() };
        self.scale.map_or(root.recip() as f32, Bits::get)
    }

    /// The key at which query 0 stands; 0 where nothing asks. Lengths that are read on the device are not known here: with
    /// [`Align::End`] it is that of full ones.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.align.map_or(0, |align| align.offset(self.shape.q_len, self.shape.kv_len))
    }

    /// The mask as a range of `j - i`, with lengths as [`offset`](Self::offset) has them.
    #[must_use]
    pub fn band(&self) -> Band {
        self.mask.band(self.offset())
    }

    /// Whether its bindings may lie in one buffer.
    pub(crate) const fn shares_buffer(&self) -> bool {
        self.shared_buffer
    }

    /// Whether the device reads where keys end, or where sequences start.
    pub(crate) const fn has_lengths(&self) -> bool {
        self.kv_lens || self.sequences.is_some()
    }

    /// Batch items, or packed sequences.
    pub(crate) fn items(&self) -> u32 {
        self.sequences.unwrap_or(self.shape.batch)
    }

    /// The heads and rows of weights and scores.
    pub(crate) fn only_or_all(&self) -> [Range<u32>; 2] {
        let all = Part { heads: [0, self.shape.q_heads], rows: [0, self.shape.q_len] };
        let Part { heads, rows } = self.only.unwrap_or(all);
        [heads[0]..heads[1], rows[0]..rows[1]]
    }
}

/// New keys and values, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Append {
    pub(crate) len: u32,
    pub(crate) rotary: Option<Rotary>,
}
