//! A plan with buffers: every check of a buffer, then recording.

use std::{ops::Range, sync::Arc};

use crate::{
    error::Error,
    kernels::Group,
    params::Params,
    pipelines::{Pipeline, Scopes},
    plan::Plan,
    shader::Kind,
    tensor::Tensor,
    view::View,
};

/// The buffers of one call. Each is a `wgpu::BufferSlice`, so that tensors may lie at offsets of larger buffers; the bytes
/// that the tensor's shape and layout reach must lie in it, and no more are bound.
#[derive(Clone, Debug)]
#[must_use]
pub struct Bindings<'a> {
    slices: [Option<wgpu::BufferSlice<'a>>; Tensor::ALL.len()],
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
    pub fn shift(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Shift, slice)
    }

    /// What a layer adds.
    pub fn residual(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Residual, slice)
    }

    /// Factors of a [`Norm`](crate::Norm).
    pub fn gain(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Gain, slice)
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

    /// Scratch memory, where [`Plan::workspace_bytes`] is not 0. Its content before and after means nothing.
    pub fn workspace(self, slice: wgpu::BufferSlice<'a>) -> Self {
        self.set(Tensor::Workspace, slice)
    }

    /// The buffer of a tensor, by its name as a value.
    pub fn set(mut self, tensor: Tensor, slice: wgpu::BufferSlice<'a>) -> Self {
        self.slices[tensor as usize] = Some(slice);
        self
    }
}

/// A checked buffer range of one tensor: what is bound.
#[derive(Clone, Debug)]
struct Held {
    view: View,
    buffer: wgpu::Buffer,
    bytes: Range<u64>,
}

/// A plan with its buffers, ready to be recorded any number of times. Owns its handles; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bound {
    plan: Plan,
    groups: Arc<[wgpu::BindGroup]>,
}

impl Plan {
    /// Checks the buffers and makes the bind groups.
    ///
    /// Refused: a missing or superfluous binding, a slice too short, a buffer without `STORAGE`, a misaligned offset, ranges
    /// that overlap where one is written, a buffer of another device (of the same `wgpu::Instance`: wgpu cannot tell those
    /// of another instance apart).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn bind(&self, bindings: &Bindings<'_>) -> Result<Bound, Error> {
        pollster::block_on(self.bind_async(bindings))
    }

    /// [`bind`](Self::bind) where one cannot block.
    pub async fn bind_async(&self, bindings: &Bindings<'_>) -> Result<Bound, Error> {
        let held = self.hold(bindings)?;
        let scopes = Scopes::open(&self.inner.device);
        let groups = self.groups(&held);
        scopes.close("a bind group").await?;
        Ok(Bound { plan: self.clone(), groups })
    }

    /// [`bind`](Self::bind) and [`Bound::encode`] in one.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, bindings: &Bindings<'_>) -> Result<(), Error> {
        self.bind(bindings)?.encode(encoder);
        Ok(())
    }

    fn hold(&self, bindings: &Bindings<'_>) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        let align = u64::from(self.inner.caps.storage_align);
        for view in self.views() {
            let slice = bindings.slices[view.tensor as usize].ok_or(Error::Missing { name: view.tensor.name() })?;
            held.push(Held::new(view, slice, align)?);
        }
        for (tensor, slice) in Tensor::ALL.into_iter().zip(&bindings.slices) {
            if slice.is_some() && !held.iter().any(|held| held.view.tensor == tensor) {
                return Err(Error::Unused { name: tensor.name() });
            }
        }
        for (i, a) in held.iter().enumerate() {
            for b in &held[i + 1..] {
                a.check_beside(b, self.inner.problem.shared_buffer())?;
            }
        }
        Ok(held)
    }

    fn groups(&self, held: &[Held]) -> Arc<[wgpu::BindGroup]> {
        let planned = &*self.inner;
        planned.program.groups.iter().map(|group| self.group(group, &planned.compiled[group.kernel], held)).collect()
    }

    fn group(&self, group: &Group, compiled: &Pipeline, held: &[Held]) -> wgpu::BindGroup {
        let resource = |name: &str| {
            let window = group.windows.iter().find(|window| window.binding == name)?;
            let held = held.iter().find(|held| held.view.tensor == window.tensor)?;
            let start = held.bytes.start;
            Some(range(&held.buffer, &(start + window.bytes.start..start + window.bytes.end)))
        };
        let params = range(&self.inner.params, &(0..size_of::<Params>() as u64));
        let entries: Vec<_> = compiled
            .declared
            .iter()
            .filter_map(|declared| {
                let uniform = declared.kind == Kind::Uniform;
                let buffer = if uniform { Some(params.clone()) } else { resource(&declared.name) };
                Some(wgpu::BindGroupEntry {
                    binding: declared.binding,
                    resource: wgpu::BindingResource::Buffer(buffer?),
                })
            })
            .collect();
        let kernel = self.inner.program.kernels[group.kernel];
        self.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.shader().name()),
            layout: &compiled.layout,
            entries: &entries,
        })
    }
}

fn range<'a>(buffer: &'a wgpu::Buffer, bytes: &Range<u64>) -> wgpu::BufferBinding<'a> {
    wgpu::BufferBinding { buffer, offset: bytes.start, size: wgpu::BufferSize::new(bytes.end - bytes.start) }
}

impl Held {
    fn new(view: View, slice: wgpu::BufferSlice<'_>, align: u64) -> Result<Self, Error> {
        let name = view.tensor.name();
        let (offset, got, needs) = (slice.offset(), slice.size(), view.bytes()?);
        if !slice.buffer().usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::Usage { name, needs: "STORAGE" });
        }
        if got < needs {
            return Err(Error::Size { name, got, needs });
        }
        if !offset.is_multiple_of(align) {
            return Err(Error::Offset { name, offset, align });
        }
        Ok(Self { view, buffer: slice.buffer().clone(), bytes: offset..offset + needs })
    }

    fn check_beside(&self, other: &Self, shared_buffer: bool) -> Result<(), Error> {
        let (a, b) = (self.view.tensor.name(), other.view.tensor.name());
        let written = self.view.written || other.view.written;
        if self.buffer != other.buffer || !written {
            return Ok(());
        }
        if self.bytes.start < other.bytes.end && other.bytes.start < self.bytes.end {
            return Err(Error::Overlap { a, b });
        }
        if shared_buffer { Ok(()) } else { Err(Error::SharedBuffer { a, b }) }
    }
}

impl Bound {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many dispatches it has. A caller may submit between any two.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.plan.steps()
    }

    /// Records all of it into the caller's encoder, in a compute pass of its own. Nothing runs until the caller submits.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("attention"), timestamp_writes: None };
        self.record(&mut encoder.begin_compute_pass(&descriptor));
    }

    /// Records some of the steps, which must run in order: submit between them where one submission would take too long.
    pub fn encode_steps(&self, encoder: &mut wgpu::CommandEncoder, steps: Range<usize>) -> Result<(), Error> {
        if steps.start > steps.end || steps.end > self.steps() {
            return Err(Error::Steps { from: steps.start, to: steps.end, steps: self.steps() });
        }
        let descriptor = wgpu::ComputePassDescriptor { label: Some("attention"), timestamp_writes: None };
        self.record_steps(&mut encoder.begin_compute_pass(&descriptor), steps);
        Ok(())
    }

    /// Records all of it into the caller's compute pass. Sets the pipeline and bind group 0.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.record_steps(pass, 0..self.steps());
    }

    fn record_steps(&self, pass: &mut wgpu::ComputePass<'_>, steps: Range<usize>) {
        let planned = &*self.plan.inner;
        let mut current = None;
        for (slot, step) in planned.program.steps.iter().enumerate().take(steps.end).skip(steps.start) {
            let kernel = planned.program.groups[step.group].kernel;
            if current != Some(kernel) {
                pass.set_pipeline(&planned.compiled[kernel].pipeline);
                current = Some(kernel);
            }
            pass.set_bind_group(0, &self.groups[step.group], &[slot as u32 * planned.stride]);
            pass.dispatch_workgroups(step.grid[0], step.grid[1], 1);
        }
    }
}
