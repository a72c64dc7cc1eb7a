//! The tensors of a problem: their names, and their values in host memory.

use crate::{error::Error, problem::Problem};

/// Declares the tensors and their names.
macro_rules! tensors {
    ($($(#[$doc:meta])* $Name:ident = $name:literal,)*) => {
        /// A tensor that can be bound.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Tensor { $($(#[$doc])* $Name,)* }

        impl Tensor {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$Name),*];

            /// Its name in messages, shaders and files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Name => $name,)* }
            }
        }
    };
}

tensors! {
    /// Queries `[batch, q_heads, q_len, head_dim]`.
    Q = "q",
    /// Keys `[batch, kv_heads, kv_len, head_dim]`.
    K = "k",
    /// Values `[batch, kv_heads, kv_len, value_dim]`.
    V = "v",
    /// Output `[batch, q_heads, q_len, value_dim]`.
    Out = "out",
    /// Keys to append `[batch, kv_heads, new_len, head_dim]`.
    NewK = "new_k",
    /// Values to append `[batch, kv_heads, new_len, value_dim]`.
    NewV = "new_v",
    /// Additive bias `[batch, q_heads, q_len, columns]`.
    Bias = "bias",
    /// Boolean keep-mask `[batch, q_heads, q_len, columns]`: true lets a query see a key.
    Keep = "keep",
    /// ALiBi slopes `[q_heads]` or `[batch, q_heads]` f32.
    Slopes = "slopes",
    /// Learned sinks `[q_heads]` f32.
    Sinks = "sinks",
    /// Keys of each batch item `[batch]` u32; with an append, before it.
    KvLens = "kv_lens",
    /// Where each packed sequence starts among the queries, and the end of the last `[sequences + 1]` u32.
    CuQ = "cu_q",
    /// The same among the keys.
    CuK = "cu_k",
    /// Cosines of a rotary embedding, f32.
    Cos = "cos",
    /// Sines of a rotary embedding, f32.
    Sin = "sin",
    /// Rows of the cosines and sines `[batch, len]` u32; of an [`Embed`](crate::Embed), what it adds `[count, dim]`.
    Positions = "positions",
    /// Partial outputs `[parts, batch, heads, len, value_dim]` f32.
    Parts = "parts",
    /// Log-sum-exp of partial outputs `[parts, batch, heads, len]` f32.
    PartLses = "part_lses",
    /// Log-sum-exp of each row `[batch, q_heads, q_len]` f32.
    Lse = "lse",
    /// Attention weights `[batch, heads, rows, kv_len]` f32.
    Weights = "weights",
    /// Scores of one stage `[batch, heads, rows, kv_len]` f32.
    Scores = "scores",
    /// Ranges of keys `[ranges, 2]` u32: each its first key and one past its last.
    Ranges = "ranges",
    /// Entropy, largest weight, mean distance and sums of each row `[batch, heads, rows, 7 + ranges]` f32.
    RowMeasures = "row_measures",
    /// The largest weights of each row `[batch, heads, rows, k]` f32.
    TopWeights = "top_weights",
    /// Their keys `[batch, heads, rows, k]` u32.
    TopKeys = "top_keys",
    /// What each key gets from a head `[batch, heads, 1, kv_len]` f32.
    Received = "received",
    /// Weights pooled into cells `[batch, heads or 1, rows, columns]` f32.
    Map = "map",
    /// Weights that others are compared with `[batch, heads, rows, kv_len]` f32.
    OtherWeights = "other_weights",
    /// Divergence and largest difference of each row `[batch, heads, rows, 2]` f32.
    Divergence = "divergence",
    /// Block mask, [`BlockForm::words`](crate::BlockForm::words) u32.
    BlockMask = "block_mask",
    /// Weights of the elements of additive scores `[q_heads, head_dim]` f32.
    ScoreWeights = "score_weights",
    /// Factor on the scores of each head `[q_heads]` f32.
    HeadScales = "head_scales",
    /// Weights of the step before `[batch, heads or 1, 1, kv_len]` f32.
    Previous = "previous",
    /// Filters of a convolution `[channels, width]` f32.
    Filters = "filters",
    /// What each filter adds to an element of a key `[dim, channels]` f32.
    FilterWeights = "filter_weights",
    /// Bias of where a key lies from a query of a grid `[q_heads, 2 window - 1, 2 window - 1]` f32.
    GridBias = "grid_bias",
    /// Scratch memory of the plan, [`Plan::workspace_bytes`](crate::Plan::workspace_bytes) long.
    Workspace = "workspace",
    /// Rows of a layer `[rows, inputs]`.
    X = "x",
    /// Weight of a linear layer `[outputs, inputs]`.
    Weight = "weight",
    /// What a layer adds to each row `[outputs]` f32.
    Shift = "shift",
    /// What a layer adds `[rows, outputs]`.
    Residual = "residual",
    /// Factors of a normalised row `[dim]` f32.
    Gain = "gain",
    /// Rows of a table `[rows]` u32.
    Ids = "ids",
    /// Rows of all tokens `[vocabulary, dim]`.
    Table = "table",
}

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

    /// Whether each tensor that the problem reads is given, of the right kind and as long as it reaches, and no other.
    pub fn check(&self, problem: impl Into<Problem>) -> Result<(), Error> {
        let problem = problem.into();
        for view in problem.views().filter(|view| view.is_input()) {
            let (name, needs) = (view.tensor.name(), view.extent()? as usize);
            let got = match (self.get(view.tensor), view.dtype) {
                (Some(data), dtype) if data.fits(dtype) => data.len(),
                (Some(_), got) => return Err(Error::Type { name, got, wanted: "of the kind of the data given" }),
                (None, _) => 0,
            };
            if got < needs {
                return Err(Error::Input { name, got, needs });
            }
        }
        for tensor in Tensor::ALL {
            if self.get(tensor).is_some() && !problem.view(tensor).is_some_and(|view| view.is_input()) {
                return Err(Error::UnusedInput { name: tensor.name() });
            }
        }
        Ok(())
    }
}

/// The outputs of a problem in host memory, laid out as the spec says: f32 from a device, f64 from the oracle.
///
/// Elements that no index reaches (gaps between strides) are 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outputs<T> {
    /// `[batch, q_heads, q_len, value_dim]` in its layout; empty where the spec wants none.
    pub out: Vec<T>,
    /// `[batch, q_heads, q_len]`, where asked for.
    pub lse: Option<Vec<T>>,
    /// `[batch, heads, rows, kv_len]`, where asked for.
    pub weights: Option<Vec<T>>,
    /// `[batch, heads, rows, kv_len]`, where asked for.
    pub scores: Option<Vec<T>>,
    /// The keys after an append, in their layout.
    pub k: Option<Vec<T>>,
    /// The values after an append, in their layout.
    pub v: Option<Vec<T>>,
    /// `[batch, heads, rows, 7 + ranges]`, where asked for.
    pub row_measures: Option<Vec<T>>,
    /// `[batch, heads, rows, k]`, where asked for.
    pub top_weights: Option<Vec<T>>,
    /// `[batch, heads, rows, k]`, where asked for.
    pub top_keys: Option<Vec<u32>>,
    /// `[batch, heads, 1, kv_len]`, where asked for.
    pub received: Option<Vec<T>>,
    /// `[batch, heads or 1, rows, columns]`, where asked for.
    pub map: Option<Vec<T>>,
    /// `[batch, heads, rows, 2]`, where two attentions are compared.
    pub divergence: Option<Vec<T>>,
}

impl<T> Outputs<T> {
    /// An output and nothing else, for instance to [`check`](crate::reference::check) what a device of yours computed.
    #[must_use]
    pub const fn of(out: Vec<T>) -> Self {
        Self {
            out,
            lse: None,
            weights: None,
            scores: None,
            k: None,
            v: None,
            row_measures: None,
            top_weights: None,
            top_keys: None,
            received: None,
            map: None,
            divergence: None,
        }
    }

    /// One output of floats by its tensor; `None` where it was not asked for.
    #[must_use]
    pub fn get(&self, tensor: Tensor) -> Option<&[T]> {
        match tensor {
            Tensor::Out => Some(&self.out),
            Tensor::Lse => self.lse.as_deref(),
            Tensor::Weights => self.weights.as_deref(),
            Tensor::Scores => self.scores.as_deref(),
            Tensor::K => self.k.as_deref(),
            Tensor::V => self.v.as_deref(),
            Tensor::RowMeasures => self.row_measures.as_deref(),
            Tensor::TopWeights => self.top_weights.as_deref(),
            Tensor::Received => self.received.as_deref(),
            Tensor::Map => self.map.as_deref(),
            Tensor::Divergence => self.divergence.as_deref(),
            _ => None,
        }
    }

    /// Sets one output of floats by its tensor; a tensor that is no output is dropped.
    pub fn set(&mut self, tensor: Tensor, data: Vec<T>) {
        match tensor {
            Tensor::Out => self.out = data,
            Tensor::Lse => self.lse = Some(data),
            Tensor::Weights => self.weights = Some(data),
            Tensor::Scores => self.scores = Some(data),
            Tensor::K => self.k = Some(data),
            Tensor::V => self.v = Some(data),
            Tensor::RowMeasures => self.row_measures = Some(data),
            Tensor::TopWeights => self.top_weights = Some(data),
            Tensor::Received => self.received = Some(data),
            Tensor::Map => self.map = Some(data),
            Tensor::Divergence => self.divergence = Some(data),
            _ => {}
        }
    }
}
