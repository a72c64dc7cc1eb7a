//! From a spec to compiled dispatches.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use lru::LruCache;

use crate::{
    caps::Caps,
    error::Error,
    kernels::{Algorithm, Program},
    params::Params,
    pipelines::{Checks, Pipeline, Pipelines, Scopes, lock},
    spec::Spec,
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
    device: wgpu::Device,
    caps: Caps,
    pipelines: Pipelines,
    plans: Mutex<LruCache<(Spec, Option<Algorithm>), Plan>>,
}

impl Attention {
    /// Attention on `device`, within the limits that it was created with.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        Self::with(device, Caps::of(device), Checks::None)
    }

    /// The same with the driver checking every index and every loop: several times slower, for hunting a fault.
    #[must_use]
    pub fn checked(device: &wgpu::Device) -> Self {
        Self::with(device, Caps::of(device), Checks::All)
    }

    /// The same on the same device as if it had no more than the means of `caps`.
    #[must_use]
    pub fn limited(&self, caps: Caps) -> Self {
        Self::with(&self.inner.device, caps.within(&self.inner.caps), self.inner.pipelines.checks())
    }

    fn with(device: &wgpu::Device, caps: Caps, checks: Checks) -> Self {
        let pipelines = Pipelines::new(device.clone(), checks);
        let plans = Mutex::new(LruCache::new(CAPACITY));
        Self { inner: Arc::new(Inner { device: device.clone(), caps, pipelines, plans }) }
    }

    /// What choices are made from.
    #[must_use]
    pub fn caps(&self) -> &Caps {
        &self.inner.caps
    }

    /// Checks a spec against the device, chooses kernels and compiles them. The same spec again costs a look-up.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn plan(&self, spec: &Spec) -> Result<Plan, Error> {
        pollster::block_on(self.plan_async(spec))
    }

    /// [`plan`](Self::plan) by this algorithm, or why it cannot.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn plan_with(&self, algorithm: Algorithm, spec: &Spec) -> Result<Plan, Error> {
        pollster::block_on(self.plan_with_async(algorithm, spec))
    }

    /// [`plan`](Self::plan) where one cannot block.
    pub async fn plan_async(&self, spec: &Spec) -> Result<Plan, Error> {
        self.plan_any(spec, None).await
    }

    /// [`plan_with`](Self::plan_with) where one cannot block.
    pub async fn plan_with_async(&self, algorithm: Algorithm, spec: &Spec) -> Result<Plan, Error> {
        self.plan_any(spec, Some(algorithm)).await
    }

    async fn plan_any(&self, spec: &Spec, forced: Option<Algorithm>) -> Result<Plan, Error> {
        let key = (spec.clone(), forced);
        if let Some(plan) = lock(&self.inner.plans).get(&key) {
            return Ok(plan.clone());
        }
        let plan = self.make(spec, forced).await?;
        lock(&self.inner.plans).put(key, plan.clone());
        Ok(plan)
    }

    async fn make(&self, spec: &Spec, forced: Option<Algorithm>) -> Result<Plan, Error> {
        let Inner { device, caps, pipelines, .. } = &*self.inner;
        let program = Program::new(spec, caps, forced)?;
        let mut compiled = Vec::with_capacity(program.stages.len());
        for stage in &program.stages {
            compiled.push(pipelines.get(stage.kernel).await?);
        }
        let stride = (size_of::<Params>() as u32).next_multiple_of(caps.uniform_align);
        let scopes = Scopes::open(device);
        let params = upload(device, &program, stride);
        scopes.close("the parameters").await?;
        let (device, caps) = (device.clone(), caps.clone());
        Ok(Plan { inner: Arc::new(Planned { device, caps, spec: spec.clone(), program, compiled, params, stride }) })
    }
}

/// One immutable buffer, a slot per step: nothing is written while a caller records.
fn upload(device: &wgpu::Device, program: &Program, stride: u32) -> wgpu::Buffer {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("attention parameters"),
        size: u64::from(stride) * program.steps.len() as u64,
        usage: wgpu::BufferUsages::UNIFORM,
        mapped_at_creation: true,
    });
    let mut bytes = vec![0; buffer.size() as usize];
    for (slot, step) in bytes.chunks_exact_mut(stride as usize).zip(&program.steps) {
        slot[..size_of::<Params>()].copy_from_slice(bytemuck::bytes_of(&step.params));
    }
    if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
        mapped.copy_from_slice(&bytes);
    } // else creation failed, which the error scope around this tells
    buffer.unmap();
    buffer
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
    pub(crate) spec: Spec,
    pub(crate) program: Program,
    pub(crate) compiled: Vec<Pipeline>,
    pub(crate) params: wgpu::Buffer,
    pub(crate) stride: u32,
}

impl Plan {
    /// What it computes.
    pub fn spec(&self) -> &Spec {
        &self.inner.spec
    }

    /// How it computes.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.inner.program.algorithm
    }

    /// The names of its kernels, in order.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.inner.program.stages.iter().map(|stage| stage.kernel.shader().name())
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
