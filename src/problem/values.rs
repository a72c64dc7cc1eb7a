//! The values that go in and come out, in host memory.

use std::collections::BTreeMap;

use crate::tensor::{Tensor, dtype::DType};

/// Values in host memory. Numbers are rounded to the tensor's element type when they are uploaded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Data<'a> {
    /// Of a tensor of floats.
    Floats(&'a [f32]),
    /// Of a tensor of lengths or positions, or of a block mask.
    Words(&'a [u32]),
    /// Of a keep-mask.
    Bools(&'a [bool]),
}

impl Data<'_> {
    /// How many elements there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Floats(data) => data.len(),
            Self::Words(data) => data.len(),
            Self::Bools(data) => data.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Data<'_> {
    /// Whether elements of this type are made from it.
    pub(crate) const fn fits(&self, dtype: DType) -> bool {
        match self {
            Self::Floats(_) => dtype.is_float(),
            Self::Words(_) => matches!(dtype, DType::U32),
            Self::Bools(_) => matches!(dtype, DType::Bool | DType::Bit),
        }
    }
}

/// The inputs of a problem in host memory, laid out as the spec says.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Inputs<'a> {
    data: [Option<Data<'a>>; Tensor::ALL.len()],
}

impl Default for Inputs<'_> {
    /// None yet.
    fn default() -> Self {
        Self::NONE
    }
}

impl<'a> Inputs<'a> {
    const NONE: Self = Self { data: [None; Tensor::ALL.len()] };

    /// Queries, keys, values.
    pub const fn new(q: &'a [f32], k: &'a [f32], v: &'a [f32]) -> Self {
        Self::NONE.floats(Tensor::Q, q).floats(Tensor::K, k).floats(Tensor::V, v)
    }

    /// Queries and keys, for problems that read no values.
    pub const fn without_values(q: &'a [f32], k: &'a [f32]) -> Self {
        Self::NONE.floats(Tensor::Q, q).floats(Tensor::K, k)
    }

    /// Additive bias; -inf hides a key.
    pub const fn bias(self, bias: &'a [f32]) -> Self {
        self.floats(Tensor::Bias, bias)
    }

    /// Keep-mask: true lets a query see a key.
    pub const fn keep(self, keep: &'a [bool]) -> Self {
        self.set(Tensor::Keep, Data::Bools(keep))
    }

    /// Block mask ([`BlockMask::words`](crate::BlockMask::words)).
    pub const fn block_mask(self, words: &'a [u32]) -> Self {
        self.words(Tensor::BlockMask, words)
    }

    /// ALiBi slopes.
    pub const fn slopes(self, slopes: &'a [f32]) -> Self {
        self.floats(Tensor::Slopes, slopes)
    }

    /// Learned sinks.
    pub const fn sinks(self, sinks: &'a [f32]) -> Self {
        self.floats(Tensor::Sinks, sinks)
    }

    /// Keys of each batch item; with an append, before it.
    pub const fn kv_lens(self, lens: &'a [u32]) -> Self {
        self.words(Tensor::KvLens, lens)
    }

    /// Where each packed sequence starts among the queries and among the keys.
    pub const fn packed(self, cu_q: &'a [u32], cu_k: &'a [u32]) -> Self {
        self.words(Tensor::CuQ, cu_q).words(Tensor::CuK, cu_k)
    }

    /// Keys and values to append.
    pub const fn append(self, k: &'a [f32], v: &'a [f32]) -> Self {
        self.floats(Tensor::NewK, k).floats(Tensor::NewV, v)
    }

    /// Cosines and sines of a rotary embedding.
    pub const fn rotary(self, cos: &'a [f32], sin: &'a [f32]) -> Self {
        self.floats(Tensor::Cos, cos).floats(Tensor::Sin, sin)
    }

    /// Ranges of keys, whose weights are summed.
    pub const fn ranges(self, ranges: &'a [u32]) -> Self {
        self.words(Tensor::Ranges, ranges)
    }

    /// Weights of the elements of additive scores.
    pub const fn score_weights(self, weights: &'a [f32]) -> Self {
        self.floats(Tensor::ScoreWeights, weights)
    }

    /// Factor on the scores of each head.
    pub const fn head_scales(self, scales: &'a [f32]) -> Self {
        self.floats(Tensor::HeadScales, scales)
    }

    /// Bias of where a key lies from a query of a grid.
    pub const fn grid_bias(self, bias: &'a [f32]) -> Self {
        self.floats(Tensor::GridBias, bias)
    }

    /// Weights of the step before, filters, and what these add to keys.
    pub const fn locate(self, previous: &'a [f32], filters: &'a [f32], weights: &'a [f32]) -> Self {
        let all = self.floats(Tensor::Previous, previous).floats(Tensor::Filters, filters);
        all.floats(Tensor::FilterWeights, weights)
    }

    /// Which row of the cosines and sines each row turns by.
    pub const fn positions(self, positions: &'a [u32]) -> Self {
        self.words(Tensor::Positions, positions)
    }

    const fn floats(self, tensor: Tensor, data: &'a [f32]) -> Self {
        self.set(tensor, Data::Floats(data))
    }

    const fn words(self, tensor: Tensor, data: &'a [u32]) -> Self {
        self.set(tensor, Data::Words(data))
    }

    /// The values of a tensor, by its name as a value.
    pub const fn set(mut self, tensor: Tensor, data: Data<'a>) -> Self {
        self.data[tensor as usize] = Some(data);
        self
    }

    /// What was given for a tensor.
    #[must_use]
    pub const fn get(&self, tensor: Tensor) -> Option<Data<'a>> {
        self.data[tensor as usize]
    }

    /// What was given for a tensor of floats; empty where nothing was.
    #[must_use]
    pub const fn get_floats(&self, tensor: Tensor) -> &'a [f32] {
        match self.get(tensor) {
            Some(Data::Floats(data)) => data,
            _ => &[],
        }
    }

    /// What was given for a tensor of lengths or positions, or for a block mask; empty where nothing was.
    #[must_use]
    pub const fn get_words(&self, tensor: Tensor) -> &'a [u32] {
        match self.get(tensor) {
            Some(Data::Words(data)) => data,
            _ => &[],
        }
    }
}

/// The outputs of a problem in host memory, laid out as the spec says: f32 from a device, f64 from the oracle.
///
/// Elements that no index reaches (gaps between strides) are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<T> {
    floats: BTreeMap<Tensor, Vec<T>>,
    words: BTreeMap<Tensor, Vec<u32>>,
}

impl<T> Default for Outputs<T> {
    /// None yet.
    fn default() -> Self {
        Self { floats: BTreeMap::new(), words: BTreeMap::new() }
    }
}

impl<T> Outputs<T> {
    /// An output and nothing else, for instance to [`check`](crate::reference::check) what a device of yours computed.
    #[must_use]
    pub fn of(out: Vec<T>) -> Self {
        Self { floats: BTreeMap::from([(Tensor::Out, out)]), ..Self::default() }
    }

    /// The output of attention or of a layer, in its layout; empty where it was not asked for.
    #[must_use]
    pub fn out(&self) -> &[T] {
        self.get(Tensor::Out).unwrap_or_default()
    }

    /// Keys of the largest weights `[batch, heads, rows, k]`, where asked for.
    #[must_use]
    pub fn top_keys(&self) -> Option<&[u32]> {
        self.get_words(Tensor::TopKeys)
    }

    /// One output of floats by its tensor; `None` where it was not asked for.
    #[must_use]
    pub fn get(&self, tensor: Tensor) -> Option<&[T]> {
        self.floats.get(&tensor).map(Vec::as_slice)
    }

    /// One output of floats by its tensor, to be changed; `None` where it was not asked for.
    #[must_use]
    pub fn get_mut(&mut self, tensor: Tensor) -> Option<&mut Vec<T>> {
        self.floats.get_mut(&tensor)
    }

    /// One output of words by its tensor; `None` where it was not asked for.
    #[must_use]
    pub fn get_words(&self, tensor: Tensor) -> Option<&[u32]> {
        self.words.get(&tensor).map(Vec::as_slice)
    }

    /// Takes one output of floats out, by its tensor; `None` where it was not asked for.
    pub fn take(&mut self, tensor: Tensor) -> Option<Vec<T>> {
        self.floats.remove(&tensor)
    }

    /// Sets one output of floats by its tensor.
    pub fn set(&mut self, tensor: Tensor, data: Vec<T>) {
        self.floats.insert(tensor, data);
    }

    /// Sets one output of words by its tensor.
    pub fn set_words(&mut self, tensor: Tensor, data: Vec<u32>) {
        self.words.insert(tensor, data);
    }
}

/// Declares the outputs of floats that can be read by a method of their own.
macro_rules! outputs {
    ($($(#[$doc:meta])* $name:ident: $Tensor:ident,)*) => {
        impl<T> Outputs<T> {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> Option<&[T]> {
                self.get(Tensor::$Tensor)
            })*
        }
    };
}

outputs! {
    /// Log-sum-exp of each row `[batch, q_heads, q_len]`, where asked for.
    lse: Lse,
    /// Attention weights `[batch, heads, rows, kv_len]`, where asked for.
    weights: Weights,
    /// Scores of one stage `[batch, heads, rows, kv_len]`, where asked for.
    scores: Scores,
    /// The keys after an append, in their layout.
    k: K,
    /// The values after an append, in their layout.
    v: V,
    /// Measures of each row `[batch, heads, rows, 7 + ranges]`, where asked for.
    row_measures: RowMeasures,
    /// The largest weights of each row `[batch, heads, rows, k]`, where asked for.
    top_weights: TopWeights,
    /// What each key gets from a head `[batch, heads, 1, kv_len]`, where asked for.
    received: Received,
    /// Weights pooled into cells `[batch, heads or 1, rows, columns]`, where asked for.
    map: Map,
    /// Divergence and largest difference of each row `[batch, heads, rows, 2]`, where two attentions are compared.
    divergence: Divergence,
}
