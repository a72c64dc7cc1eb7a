//! The tensors of a problem: their names; where each lies in memory, and in which type.

pub(crate) mod dtype;
pub(crate) mod layout;
pub(crate) mod view;

/// Declares the tensors and their names.
macro_rules! tensors {
    ($($(#[$doc:meta])* $Name:ident = $name:literal,)*) => {
        /// A tensor that can be bound.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    LayerBias = "layer_bias",
    /// What a layer adds `[rows, outputs]`.
    Residual = "residual",
    /// Factors of a normalised row `[dim]` f32.
    NormWeight = "norm_weight",
    /// Rows of a table `[rows]` u32.
    Ids = "ids",
    /// Rows of all tokens `[vocabulary, dim]`.
    Table = "table",
}
