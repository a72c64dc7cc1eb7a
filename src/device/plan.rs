//! From a spec to compiled dispatches.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use lru::LruCache;

use crate::{
    caps::Caps,
    device::{
        autotune::Autotune,
        memory,
        pipelines::{Checks, Pipeline, Pipelines, Scopes, is_lost, lock},
    },
    error::Error,
    kernels::forward::algorithm::{Algorithm, Choice},
    problem::Problem,
    program::builder::Program,
    shader::params::Params,
    tensor::{Tensor, dtype::DType, view::View},
};

/// Plans kept: far above what a model uses; the one not used for longest goes first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Attention on a device of the caller's. Cheap to clone; clones share their caches.
///
/// It never submits, never waits for the device and installs no handler on it.
///
/// ```no_run
/// use wgpu_attention::{Attention, Bindings, Error, Shape, Spec, wgpu};
/// fn record(device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, qkvo: [&wgpu::Buffer; 4]) -> Result<(), Error> {
///     let shape = Shape { batch: 1, q_heads: 8, kv_heads: 8, q_len: 512, kv_len: 512, head_dim: 64, value_dim: 64 };
///     let plan = Attention::new(device).plan(&Spec::new(shape))?;
///     let [q, k, v, out] = qkvo.map(|buffer| buffer.slice(..));
///     plan.encode(encoder, &Bindings::new().q(q).k(k).v(v).out(out))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Attention {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    caps: Caps,
    pipelines: Pipelines,
    tuned: Autotune,
    plans: Mutex<LruCache<(Problem, Choice), Plan>>,
}

impl Attention {
    /// Attention on `device`, within the limits that it was created with.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        let pipelines = Pipelines::new(device.clone(), Checks::None, None);
        Self::with(Caps::of(device), pipelines, Autotune::default())
    }

    /// The same with the driver checking every index and every loop: several times slower, for hunting a fault.
    #[must_use]
    pub fn checked(device: &wgpu::Device) -> Self {
        let pipelines = Pipelines::new(device.clone(), Checks::All, None);
        Self::with(Caps::of(device), pipelines, Autotune::default())
    }

    /// The same with what only the adapter of the device knows: the sizes of its cooperative matrices. They are then used for
    /// q, k, v and out in f16, if the device was made with
    /// [`EXPERIMENTAL_COOPERATIVE_MATRIX`](wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX), `SUBGROUP`, `SUBGROUP_BARRIER` and
    /// `SHADER_F16`; wgpu calls the first experimental, which is why nobody gets it unasked.
    #[must_use]
    pub fn with_adapter(&self, adapter: &wgpu::Adapter) -> Self {
        let caps = self.inner.caps.clone().with_matrices(self.device(), adapter);
        Self::with(caps, self.inner.pipelines.again(), self.inner.tuned.clone())
    }

    /// The same with the algorithms that were measured as the fastest, for the problems that were.
    #[must_use]
    pub fn with_autotune(&self, tuned: &Autotune) -> Self {
        Self::with(self.inner.caps.clone(), self.inner.pipelines.again(), tuned.clone())
    }

    /// The same with pipelines taken from this cache, and added to it. [`Gpu::with_pipelines`](crate::Gpu::with_pipelines) does
    /// it with a file.
    #[must_use]
    pub fn with_pipeline_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        let pipelines = Pipelines::new(self.device().clone(), self.inner.pipelines.checks(), Some(cache.clone()));
        Self::with(self.inner.caps.clone(), pipelines, self.inner.tuned.clone())
    }

    /// The same on the same device as if it had no more than the means of `caps`.
    #[must_use]
    pub fn limited(&self, caps: Caps) -> Self {
        Self::with(caps.within(&self.inner.caps), self.inner.pipelines.again(), self.inner.tuned.clone())
    }

    fn with(caps: Caps, pipelines: Pipelines, tuned: Autotune) -> Self {
        let plans = Mutex::new(LruCache::new(CAPACITY));
        Self { inner: Arc::new(Inner { caps, pipelines, tuned, plans }) }
    }

    /// The device.
    pub(crate) fn device(&self) -> &wgpu::Device {
        self.inner.pipelines.device()
    }

    /// What choices are made from.
    #[must_use]
    pub fn caps(&self) -> &Caps {
        &self.inner.caps
    }

    /// Checks a problem against the device, chooses kernels and compiles them. The same problem again costs a look-up.
    ///
    /// A new plan has a small buffer of parameters, which wgpu keeps mapped until the next submission: whoever makes thousands of plans
    /// without submitting anything holds as many buffers.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn plan(&self, problem: impl Into<Problem>) -> Result<Plan, Error> {
        pollster::block_on(self.plan_any(problem.into(), Choice::Suggested))
    }

    /// [`plan`](Self::plan) by this algorithm, or why it cannot. It says how attention is computed; other problems have one way each, and
    /// take no notice.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn plan_with(&self, algorithm: Algorithm, problem: impl Into<Problem>) -> Result<Plan, Error> {
        pollster::block_on(self.plan_any(problem.into(), Choice::Asked(algorithm)))
    }

    /// [`plan`](Self::plan) where one cannot block.
    pub fn plan_async(
        &self,
        problem: impl Into<Problem>,
    ) -> impl Future<Output = Result<Plan, Error>> + wgpu::WasmNotSend {
        let problem = problem.into();
        async move { self.plan_any(problem, Choice::Suggested).await }
    }

    /// [`plan_with`](Self::plan_with) where one cannot block.
    pub fn plan_with_async(
        &self,
        algorithm: Algorithm,
        problem: impl Into<Problem>,
    ) -> impl Future<Output = Result<Plan, Error>> + wgpu::WasmNotSend {
        let problem = problem.into();
        async move { self.plan_any(problem, Choice::Asked(algorithm)).await }
    }

    /// A plan that is not kept: for one of many parts, which would push out what callers need again.
    pub(crate) async fn plan_once(&self, problem: &Problem) -> Result<Plan, Error> {
        self.make(problem, Choice::Suggested).await
    }

    async fn plan_any(&self, problem: Problem, choice: Choice) -> Result<Plan, Error> {
        let key = (problem, choice);
        if let Some(plan) = lock(&self.inner.plans).get(&key) {
            return Ok(plan.clone());
        }
        let plan = self.make(&key.0, choice).await?;
        lock(&self.inner.plans).put(key, plan.clone());
        Ok(plan)
    }

    async fn make(&self, problem: &Problem, choice: Choice) -> Result<Plan, Error> {
        let (Inner { caps, pipelines, tuned, .. }, device) = (&*self.inner, self.device());
        problem.check()?;
        check_buffers(problem.views(), device)?;
        // What was measured counts where the caller did not choose.
        let choice = if let (Choice::Suggested, Problem::Attention(spec)) = (choice, problem) {
            tuned.get(spec, caps).map_or(choice, Choice::Measured)
        } else {
            choice
        };
        let program = Program::new(problem, caps, choice)?;
        check_buffer(Tensor::Workspace, program.workspace_bytes, device)?;
        let mut compiled = Vec::with_capacity(program.kernels.len());
        for kernel in &program.kernels {
            compiled.push(pipelines.get(*kernel).await?);
        }
        let stride = (size_of::<Params>() as u32).next_multiple_of(caps.uniform_align);
        let scopes = Scopes::open(device);
        let params = upload(device, &program, stride);
        scopes.close("the parameters").await?;
        if is_lost(device) {
            return Err(Error::Lost { because: "it is gone since before the plan".into() });
        }
        let (device, caps, problem) = (device.clone(), caps.clone(), problem.clone());
        Ok(Plan { inner: Arc::new(Planned { device, caps, problem, program, compiled, params, stride }) })
    }
}

/// No tensor is longer than a buffer can be.
fn check_buffers(mut views: impl Iterator<Item = View>, device: &wgpu::Device) -> Result<(), Error> {
    views.try_for_each(|view| check_buffer(view.tensor, view.bytes()?, device))
}

fn check_buffer(tensor: Tensor, bytes: u64, device: &wgpu::Device) -> Result<(), Error> {
    let max = device.limits().max_buffer_size;
    if bytes > max { Err(Error::BufferLimit { name: tensor.name(), bytes, max }) } else { Ok(()) }
}

/// One immutable buffer, a slot per step: nothing is written while a caller records.
fn upload(device: &wgpu::Device, program: &Program, stride: u32) -> wgpu::Buffer {
    let stride = stride as usize;
    let mut bytes = vec![0; stride * program.steps.len()];
    for (slot, step) in bytes.chunks_exact_mut(stride).zip(&program.steps) {
        slot[..size_of::<Params>()].copy_from_slice(bytemuck::bytes_of(&step.params));
    }
    memory::buffer(device, "attention parameters", bytes.len() as u64, wgpu::BufferUsages::UNIFORM, Some(&bytes))
}

/// A checked and compiled spec. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) inner: Arc<Planned>,
}

#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) device: wgpu::Device,
    pub(crate) caps: Caps,
    pub(crate) problem: Problem,
    pub(crate) program: Program,
    pub(crate) compiled: Vec<Pipeline>,
    pub(crate) params: wgpu::Buffer,
    pub(crate) stride: u32,
}

impl Plan {
    /// What it computes.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.inner.problem
    }

    /// How it computes attention; `None` for another problem.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.inner.program.algorithm
    }

    /// The names of its kernels, in the order of their first use.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.inner.program.kernels.iter().map(|kernel| kernel.shader().name())
    }

    /// The tensors that it binds.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        let words = (self.workspace_bytes() / 4) as u32;
        let view = View { written: true, ..View::dense(Tensor::Workspace, [1, 1, 1, words], DType::U32) };
        self.inner.problem.views().chain((words > 0).then_some(view))
    }

    /// Bytes that [`Bindings::workspace`](crate::Bindings::workspace) must have; 0 where it must be absent.
    #[must_use]
    pub fn workspace_bytes(&self) -> u64 {
        self.inner.program.workspace_bytes
    }

    /// Bytes of device memory that the plan itself holds: its parameters.
    #[must_use]
    pub fn parameter_bytes(&self) -> u64 {
        self.inner.params.size()
    }

    /// How many dispatches it has. A caller may submit between any two.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.inner.program.steps.len()
    }
}
