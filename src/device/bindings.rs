//! The buffers of one call.

use crate::tensor::Tensor;

/// The buffers of one call. Each is a `wgpu::BufferSlice`, so that tensors may lie at offsets of larger buffers; the bytes
/// that the tensor's shape and layout reach must lie in it, and no more are bound.
#[derive(Clone, Debug)]
#[must_use]
pub struct Bindings<'a> {
    pub(crate) slices: [Option<wgpu::BufferSlice<'a>>; Tensor::ALL.len()],
}

impl Default for Bindings<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Bindings<'a> {
    /// No buffers yet.
    pub fn new() -> Self {
        Self { slices: [None; Tensor::ALL.len()] }
    }

    /// Queries.
    pub fn q(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Q, slice)
    }

    /// Keys.
    pub fn k(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::K, slice)
    }

    /// Values.
    pub fn v(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::V, slice)
    }

    /// Output.
    pub fn out(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Out, slice)
    }

    /// Additive bias ([`Spec::bias`](crate::Spec::bias)).
    pub fn bias(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Bias, slice)
    }

    /// Keep-mask ([`Spec::keep`](crate::Spec::keep)).
    pub fn keep(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Keep, slice)
    }

    /// Block mask ([`Spec::block_mask`](crate::Spec::block_mask)).
    pub fn block_mask(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::BlockMask, slice)
    }

    /// ALiBi slopes ([`Spec::alibi`](crate::Spec::alibi)).
    pub fn slopes(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Slopes, slice)
    }

    /// Learned sinks ([`Spec::sinks`](crate::Spec::sinks)).
    pub fn sinks(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Sinks, slice)
    }

    /// Keys of each batch item ([`Spec::kv_lens`](crate::Spec::kv_lens)).
    pub fn kv_lens(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::KvLens, slice)
    }

    /// Cumulative lengths of packed sequences, of the queries and of the keys ([`Spec::packed`](crate::Spec::packed)).
    pub fn packed(self, cu_q: wgpu::BufferSlice<'a>, cu_k: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::CuQ, cu_q).set(Tensor::CuK, cu_k)
    }

    /// Keys and values to append ([`Spec::append`](crate::Spec::append)).
    pub fn append(self, k: wgpu::BufferSlice<'a>, v: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::NewK, k).set(Tensor::NewV, v)
    }

    /// Cosines and sines ([`Rotary`](crate::Rotary)).
    pub fn rotary(self, cos: wgpu::BufferSlice<'a>, sin: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Cos, cos).set(Tensor::Sin, sin)
    }

    /// Rows of the cosines and sines ([`Angles::Ids`](crate::Angles::Ids)).
    pub fn positions(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Positions, slice)
    }

    /// Partial outputs and their log-sum-exps ([`Merge`](crate::Merge)).
    pub fn parts(self, parts: wgpu::BufferSlice<'a>, lses: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Parts, parts).set(Tensor::PartLses, lses)
    }

    /// Ranges of keys ([`Measures::ranges`](crate::Measures::ranges)).
    pub fn ranges(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Ranges, slice)
    }

    /// Measures of rows ([`Measures::rows`](crate::Measures::rows)).
    pub fn row_measures(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::RowMeasures, slice)
    }

    /// The largest weights and their keys ([`Measures::top`](crate::Measures::top)).
    pub fn top(self, weights: wgpu::BufferSlice<'a>, keys: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::TopWeights, weights).set(Tensor::TopKeys, keys)
    }

    /// What keys get ([`Measures::received`](crate::Measures::received)).
    pub fn received(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Received, slice)
    }

    /// Pooled weights ([`Measures::map`](crate::Measures::map)).
    pub fn map(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Map, slice)
    }

    /// The weights of two attentions, and how far they are apart ([`Divergence`](crate::Divergence)).
    pub fn compared(self, weights: [wgpu::BufferSlice<'a>; 2], divergence: wgpu::BufferSlice<'a>) -> Self {
        let [one, other] = weights;
        self.weights(one).set(Tensor::OtherWeights, other).set(Tensor::Divergence, divergence)
    }

    /// Rows of a layer ([`Linear`](crate::Linear), [`Norm`](crate::Norm)).
    pub fn x(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::X, slice)
    }

    /// Weight of a [`Linear`](crate::Linear).
    pub fn weight(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Weight, slice)
    }

    /// What a layer adds to each row.
    pub fn layer_bias(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::LayerBias, slice)
    }

    /// What a layer adds.
    pub fn residual(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Residual, slice)
    }

    /// Factors of a [`Norm`](crate::Norm).
    pub fn norm_weight(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::NormWeight, slice)
    }

    /// Rows of the table, and the table ([`Embed`](crate::Embed)).
    pub fn table(self, ids: wgpu::BufferSlice<'a>, table: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Ids, ids).set(Tensor::Table, table)
    }

    /// Log-sum-exp, where [`Spec::lse`](crate::Spec::lse) asks for it.
    pub fn lse(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Lse, slice)
    }

    /// Attention weights, where [`Spec::weights`](crate::Spec::weights) asks for them.
    pub fn weights(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Weights, slice)
    }

    /// Scores, where [`Spec::scores`](crate::Spec::scores) asks for them.
    pub fn scores(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Scores, slice)
    }

    /// Weights of additive scores ([`Spec::additive`](crate::Spec::additive)).
    pub fn score_weights(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::ScoreWeights, slice)
    }

    /// Factor on the scores of each head ([`Spec::head_scales`](crate::Spec::head_scales)).
    pub fn head_scales(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::HeadScales, slice)
    }

    /// Bias of where a key lies from a query ([`Grid::biased`](crate::Grid::biased)).
    pub fn grid_bias(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::GridBias, slice)
    }

    /// Weights of the step before, filters, and what these add to keys ([`Locate`](crate::Locate)).
    pub fn locate(
        self,
        previous: wgpu::BufferSlice<'a>,
        filters: wgpu::BufferSlice<'a>,
        weights: wgpu::BufferSlice<'a>,
    ) -> Self {
        let all = self.set(Tensor::Previous, previous).set(Tensor::Filters, filters);
        all.set(Tensor::FilterWeights, weights)
    }

    /// Scratch memory, where [`Plan::workspace_bytes`](crate::Plan::workspace_bytes) is not 0. Its content before and after
    /// means nothing.
    pub fn workspace(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Workspace, slice)
    }

    /// The buffer of a tensor, by its name as a value.
    pub fn set(mut self, tensor: Tensor, slice: wgpu::BufferSlice<'a>) -> Self {
        self.slices[tensor as usize] = Some(slice);
        self
    }
}
