//! Two attentions compared on the device, some of their weights at a time.

use std::ops::Range;

use crate::{
    device::{bindings::Bindings, bound::Bound, memory::allocate},
    error::Error,
    gpu::{
        Gpu,
        run::{Progress, upload},
    },
    problem::{
        Problem,
        attention::{shape::Shape, spec::Spec},
        divergence::Divergence,
        values::{Data, Inputs, Outputs},
    },
    tensor::{Tensor, layout::Layout, view::View},
};

/// Most bytes of weights at a time, of both attentions together, unless one row of each batch item takes more.
const WEIGHTS_BYTES: u64 = 64 << 20;

impl Gpu {
    /// Compares the weights of two attentions row by row, all on the device, and reads back only the result: `divergence
    /// [batch, heads, rows, 2]`, of each row the Jensen-Shannon divergence in nats and the largest difference of two weights
    /// ([`Divergence`]). It says what a change of model, of masks or of precision did to where each query looks.
    ///
    /// What is scored and masked, types, layouts and head_dim may differ. batch, q_heads, q_len, kv_len and the heads and rows of
    /// [`Spec::only`] must be the same. What the specs write does not count, and values are not read
    /// ([`Inputs::without_values`]); a spec that appends is refused.
    ///
    /// Heads and rows are gone through in parts, so that no more than 64 MiB of weights are there at a time, or as much as one
    /// row of each batch item takes. Long work goes in several submissions, each short enough for any watchdog. Buffers are
    /// freed at the end.
    ///
    /// ```no_run
    /// use wgpu_attention::{DType, Gpu, Inputs, Shape, Spec};
    /// let shape = Shape { batch: 1, q_heads: 8, kv_heads: 2, q_len: 512, kv_len: 512, head_dim: 64, value_dim: 64 };
    /// let (q, k) = (vec![0.1; 8 * 512 * 64], vec![0.2; 2 * 512 * 64]);
    /// let (spec, inputs) = (Spec::new(shape), Inputs::without_values(&q, &k));
    /// let half = spec.clone().kv_type(DType::F16); // what does a cache in f16 change?
    /// let outputs = Gpu::new()?.compare((&spec, &inputs), (&half, &inputs))?;
    /// let rows = outputs.divergence().unwrap_or_default();
    /// let worst = rows.chunks(2).map(|row| row[0]).fold(0.0, f32::max);
    /// # Ok::<(), wgpu_attention::Error>(())
    /// ```
    #[cfg(not(target_arch = "wasm32"))]
    pub fn compare(&self, one: (&Spec, &Inputs<'_>), other: (&Spec, &Inputs<'_>)) -> Result<Outputs<f32>, Error> {
        pollster::block_on(self.compare_any([one, other], |_| ()))
    }

    /// [`compare`](Self::compare) where one cannot block.
    pub fn compare_async<'a>(
        &'a self,
        one: (&'a Spec, &'a Inputs<'a>),
        other: (&'a Spec, &'a Inputs<'a>),
    ) -> impl Future<Output = Result<Outputs<f32>, Error>> + wgpu::WasmNotSend + 'a {
        self.compare_any([one, other], |_| ())
    }

    /// [`compare_async`](Self::compare_async) that says after each part how far it is.
    pub fn compare_with_progress<'a, P>(
        &'a self,
        one: (&'a Spec, &'a Inputs<'a>),
        other: (&'a Spec, &'a Inputs<'a>),
        progress: P,
    ) -> impl Future<Output = Result<Outputs<f32>, Error>> + wgpu::WasmNotSend + 'a
    where
        P: FnMut(Progress) + wgpu::WasmNotSend + 'a,
    {
        self.compare_any([one, other], progress)
    }

    async fn compare_any(
        &self,
        [one, other]: [(&Spec, &Inputs<'_>); 2],
        mut progress: impl FnMut(Progress),
    ) -> Result<Outputs<f32>, Error> {
        let specs = [weights_of(one.0)?, weights_of(other.0)?];
        check_equal(&specs)?;
        let cuts = Cuts::of(&specs[0], WEIGHTS_BYTES);
        let steps = cuts.count();
        let mut comparison = Comparison::new(self, specs, [one.1, other.1], &cuts.largest()).await?;
        for (done, part) in cuts.parts().enumerate() {
            comparison.compare(self, &part).await?;
            progress(Progress { done: done + 1, steps });
        }
        comparison.read(self).await
    }
}

/// Heads and rows that are compared at a time.
type Part = [Range<u32>; 2];

/// The same attention that writes nothing but weights. Its values, which must be there and are not read, are one number.
fn weights_of(spec: &Spec) -> Result<Spec, Error> {
    if spec.append.is_some() {
        return Err(Error::Conflict { a: "compare", b: "append: append first, and compare with the new lengths" });
    }
    let shape = Shape { value_dim: 1, ..*spec.shape() };
    let spec = Spec { shape, lse: false, scores: None, shared_buffer: false, ..spec.clone() };
    let spec = spec.weights().without_out().v_layout(Layout { offset: 0, batch: 0, head: 0, row: 0 });
    spec.check().map(|()| spec)
}

/// Whether both have the same rows and keys.
fn check_equal(specs: &[Spec; 2]) -> Result<(), Error> {
    let sizes = |spec: &Spec| {
        let (shape, [heads, rows]) = (spec.shape(), spec.only_or_all());
        let sizes = [shape.batch, shape.q_heads, shape.q_len, shape.kv_len].map(|size| size.to_string());
        sizes.into_iter().chain([format!("{heads:?}"), format!("{rows:?}")])
    };
    let names = ["batch", "q_heads", "q_len", "kv_len", "heads", "rows"];
    for (name, (one, other)) in names.into_iter().zip(sizes(&specs[0]).zip(sizes(&specs[1]))) {
        if one != other {
            return Err(Error::Unequal { name, one, other });
        }
    }
    Ok(())
}

/// Heads and rows in parts: whole heads where they fit, else rows of one. There may be more parts than memory could list.
struct Cuts {
    all: Part,
    /// The most heads and rows of a part.
    most: [u32; 2],
}

impl Cuts {
    fn of(spec: &Spec, bytes: u64) -> Self {
        let (shape, all) = (spec.shape(), spec.only_or_all());
        let row = (2 * 4 * u64::from(shape.batch)).saturating_mul(shape.kv_len.into());
        let rows = (bytes / row).clamp(1, u32::MAX.into()) as u32;
        let heads = (rows / all[1].len() as u32).max(1);
        Self { all, most: [heads, rows] }
    }

    fn count(&self) -> usize {
        let [heads, rows] = [0, 1].map(|n| self.all[n].len().div_ceil(self.most[n] as usize));
        heads.saturating_mul(rows)
    }

    /// The first: no other is larger.
    fn largest(&self) -> Part {
        [0, 1].map(|n| first_of(&self.all[n], self.most[n]))
    }

    fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let cut = move |n: usize| {
            let (all, most) = (self.all[n].clone(), self.most[n]);
            all.clone().step_by(most as usize).map(move |start| first_of(&(start..all.end), most))
        };
        cut(0).flat_map(move |heads| cut(1).map(move |rows| [heads.clone(), rows]))
    }
}

/// What is left of a range within a length.
fn first_of(range: &Range<u32>, len: u32) -> Range<u32> {
    range.start..range.end.min(range.start.saturating_add(len))
}

/// One of the attentions on the device, and room for its weights of one part.
struct Side {
    spec: Spec,
    inputs: Vec<(View, wgpu::Buffer)>,
    weights: wgpu::Buffer,
    workspace: Option<wgpu::Buffer>,
}

impl Side {
    async fn new(gpu: &Gpu, spec: Spec, inputs: &Inputs<'_>, bytes: u64) -> Result<Self, Error> {
        let inputs = inputs.set(Tensor::V, Data::Floats(&[0.0]));
        inputs.check_with_starts(&Problem::from(&spec))?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let mut buffers = Vec::new();
        for view in spec.views().filter(View::is_input) {
            buffers.push((view, allocate(&gpu.device, view.tensor.name(), view.bytes()?, usage).await?));
        }
        upload(gpu, &buffers, &inputs).await?;
        let weights = allocate(&gpu.device, "weights", bytes, usage).await?;
        Ok(Self { spec, inputs: buffers, weights, workspace: None })
    }

    /// The weights of one part, ready to be computed.
    async fn bind(&mut self, gpu: &Gpu, [heads, rows]: &Part) -> Result<Bound, Error> {
        let spec = self.spec.clone().only(heads.clone(), rows.clone());
        let plan = gpu.attention.plan_once(&spec.into()).await?;
        let bytes = plan.workspace_bytes();
        if self.workspace.as_ref().map_or(0, wgpu::Buffer::size) < bytes {
            self.workspace = Some(allocate(&gpu.device, "workspace", bytes, wgpu::BufferUsages::STORAGE).await?);
        }
        let bindings = Bindings::new().weights(self.weights.slice(..));
        let mut bindings =
            self.inputs.iter().fold(bindings, |all, (view, buffer)| all.set(view.tensor, buffer.slice(..)));
        if let Some(workspace) = self.workspace.as_ref().filter(|_| bytes > 0) {
            bindings = bindings.workspace(workspace.slice(..));
        }
        plan.bind_async(&bindings).await
    }
}

/// Two attentions, the result of one part, and that of all as the host reads it.
struct Comparison {
    sides: [Side; 2],
    result: wgpu::Buffer,
    staging: wgpu::Buffer,
}

impl Comparison {
    async fn new(gpu: &Gpu, specs: [Spec; 2], inputs: [&Inputs<'_>; 2], largest: &Part) -> Result<Self, Error> {
        let [part, all] = [largest, &specs[0].only_or_all()].map(|[heads, rows]| divergence(&specs[0], heads, rows));
        let (weights, result) = (part.weights_view().bytes()?, part.divergence_view().bytes()?);
        let whole = all.divergence_view().bytes()?;
        let [one, other] = specs;
        let sides = [Side::new(gpu, one, inputs[0], weights).await?, Side::new(gpu, other, inputs[1], weights).await?];
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let result = allocate(&gpu.device, "divergence", result, usage).await?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self { sides, result, staging: allocate(&gpu.device, "the outputs on the host", whole, usage).await? })
    }

    /// Computes both weights of one part and compares them.
    async fn compare(&mut self, gpu: &Gpu, part: &Part) -> Result<(), Error> {
        let [one, other] = &mut self.sides;
        let bound = [one.bind(gpu, part).await?, other.bind(gpu, part).await?];
        let plan = gpu.attention.plan_async(divergence(&one.spec, &part[0], &part[1])).await?;
        let weights = [&one.weights, &other.weights].map(|buffer| buffer.slice(..));
        let compared = plan.bind_async(&Bindings::new().compared(weights, self.result.slice(..))).await?;
        self.clear(gpu).await?;
        for bound in bound.iter().chain([&compared]) {
            for step in 0..bound.steps() {
                gpu.submit(bound, step).await?;
                gpu.reached().await?;
            }
        }
        self.keep(gpu, part).await
    }

    /// Rows of no sequence are not written, and have what the part before left.
    async fn clear(&self, gpu: &Gpu) -> Result<(), Error> {
        gpu.record("the weights of no row", |encoder| {
            let packed = self.sides.iter().filter(|side| side.spec.sequences.is_some());
            packed.for_each(|side| encoder.clear_buffer(&side.weights, 0, None));
        })
        .await
    }

    /// Copies the result of a part to its place in that of all. A part has consecutive rows of each head.
    async fn keep(&self, gpu: &Gpu, [heads, rows]: &Part) -> Result<(), Error> {
        const ROW: u64 = 2 * 4;
        let spec = &self.sides[0].spec;
        let [all_heads, all_rows] = spec.only_or_all().map(|range| (range.start, range.len() as u64));
        let bytes = rows.len() as u64 * ROW;
        let planes = (0..u64::from(spec.shape().batch)).flat_map(|b| heads.clone().map(move |h| (b, h)));
        gpu.record("the result of a part", |encoder| {
            for (n, (b, h)) in planes.enumerate() {
                let row =
                    (b * all_heads.1 + u64::from(h - all_heads.0)) * all_rows.1 + u64::from(rows.start - all_rows.0);
                encoder.copy_buffer_to_buffer(&self.result, n as u64 * bytes, &self.staging, row * ROW, bytes);
            }
        })
        .await
    }

    async fn read(self, gpu: &Gpu) -> Result<Outputs<f32>, Error> {
        gpu.fetch(&self.staging, |_| ()).await?;
        let bytes = self.staging.get_mapped_range(..).map_err(|error| Error::Lost { because: error.to_string() })?;
        let mut outputs = Outputs::default();
        outputs.set(Tensor::Divergence, bytemuck::pod_collect_to_vec(&bytes));
        Ok(outputs)
    }
}

/// The comparison of some heads and rows.
fn divergence(spec: &Spec, heads: &Range<u32>, rows: &Range<u32>) -> Divergence {
    let shape = spec.shape();
    Divergence::new([shape.batch, heads.len() as u32, rows.len() as u32, shape.kv_len])
}
