//! For those without a device: adapter choice, upload, run, read back.

#[cfg(not(target_arch = "wasm32"))]
mod cache;
mod compare;
mod run;
mod session;

use std::{num::NonZeroUsize, sync::Mutex, time::Duration};

use lru::LruCache;

pub use crate::gpu::run::Progress;
use crate::{
    device::{
        pipelines::{is_lost, lock},
        plan::Attention,
    },
    error::Error,
    gpu::session::Session,
    problem::Problem,
};

/// Problems whose buffers are kept for the next call; the one not used for longest goes first.
const SESSIONS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Longest wait for one dispatch: a thousand times what the slowest should take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A device with everything needed to run attention on host memory.
///
/// ```no_run
/// use wgpu_attention::{Gpu, Inputs, Shape, Spec};
/// let gpu = Gpu::new()?;
/// let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 2, kv_len: 2, head_dim: 1, value_dim: 1 };
/// let inputs = Inputs::new(&[0.0, 0.0], &[1.0, 2.0], &[1.0, 3.0]);
/// assert_eq!(gpu.run(&Spec::new(shape), &inputs)?.out(), [2.0, 2.0]);
/// # Ok::<(), wgpu_attention::Error>(())
/// ```
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    attention: Attention,
    /// Longest wait for one dispatch, and for all that others had submitted before it.
    timeout: Duration,
    /// Where compiled pipelines are kept, for other processes.
    #[cfg(not(target_arch = "wasm32"))]
    pipelines: Option<wgpu::PipelineCache>,
    sessions: Mutex<LruCache<Problem, Session>>,
}

impl Gpu {
    /// The adapter that the environment names, else the fastest; a device with all it has. All devices made here are of one
    /// `wgpu::Instance`, so that a buffer of one that is given to another is refused.
    ///
    /// A backend comes before OpenGL, and a GPU before a software driver; [`Plan::explain`](crate::Plan::explain) says which it is.
    ///
    /// `WGPU_ADAPTER_NAME` takes the first adapter whose name contains it, case aside; `WGPU_BACKEND` limits the backends
    /// (`vulkan`, `metal`, `dx12`, `gl`); `WGPU_POWER_PREF` chooses between `low` and `high`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Result<Self, Error> {
        pollster::block_on(Self::request())
    }

    /// [`new`](Self::new) where one cannot block.
    pub async fn request() -> Result<Self, Error> {
        Self::prefer(wgpu::PowerPreference::from_env().unwrap_or(wgpu::PowerPreference::HighPerformance)).await
    }

    /// [`request`](Self::request) with this preference among adapters that the environment does not name.
    pub async fn prefer(preference: wgpu::PowerPreference) -> Result<Self, Error> {
        let adapter = Self::adapter(preference).await?;
        Self::open(&adapter, wgpu::Features::empty(), wgpu::ExperimentalFeatures::disabled()).await
    }

    /// [`new`](Self::new) with cooperative matrices where the device has them, which wgpu calls experimental
    /// ([`Attention::with_adapter`]).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn experimental() -> Result<Self, Error> {
        pollster::block_on(Self::request_experimental())
    }

    /// [`experimental`](Self::experimental) where one cannot block.
    #[expect(unsafe_code, reason = "wgpu wants to hear that experiments may go wrong")]
    pub async fn request_experimental() -> Result<Self, Error> {
        let preference = wgpu::PowerPreference::from_env().unwrap_or(wgpu::PowerPreference::HighPerformance);
        let adapter = Self::adapter(preference).await?;
        // The matrix kernel works with subgroups of 8 to 64. Where they are smaller, a driver may declare matrices and refuse the device.
        let wanted = match adapter.get_info().subgroup_min_size {
            8.. => wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP_BARRIER,
            _ => wgpu::Features::empty(),
        };
        // SAFETY: the one experimental feature is used by shaders/forward/matrix.wgsl alone, which keeps to sizes that the adapter
        // declares and to matrices inside its own workgroup memory.
        let allowed = unsafe { wgpu::ExperimentalFeatures::enabled() };
        let gpu = Self::open(&adapter, wanted, allowed).await?;
        Ok(Self { attention: gpu.attention.with_adapter(&adapter), ..gpu })
    }

    /// A device with what shaders use, what callers use who time their passes or keep pipelines, and what else is wanted, as far
    /// as the adapter has it.
    async fn open(
        adapter: &wgpu::Adapter,
        wanted: wgpu::Features,
        experimental_features: wgpu::ExperimentalFeatures,
    ) -> Result<Self, Error> {
        let usual = wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::PIPELINE_CACHE;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgpu-attention"),
            required_features: adapter.features() & (usual | wanted),
            required_limits: adapter.limits(),
            experimental_features,
            ..Default::default()
        };
        let device = adapter.request_device(&descriptor).await;
        let (device, queue) = device.map_err(|error| Error::Device { what: "a device", because: error.to_string() })?;
        Ok(Self::from_device(device, queue))
    }

    /// The adapter that [`request`](Self::request) takes, for callers who make their own device of it.
    pub async fn adapter(preference: wgpu::PowerPreference) -> Result<wgpu::Adapter, Error> {
        if wgpu::Instance::enabled_backend_features().is_empty() {
            return Err(Error::NoAdapter {
                because: "nothing: no backend of wgpu is compiled into this program".into(),
            });
        }
        let wanted = std::env::var("WGPU_ADAPTER_NAME").ok().map(|name| name.to_lowercase());
        // GL last: it is the slowest way to a GPU that another backend reaches too.
        let backends = match wgpu::Backends::from_env() {
            Some(backends) => vec![backends],
            None => vec![wgpu::Backends::PRIMARY, wgpu::Backends::SECONDARY],
        };
        let mut refusals = Vec::new();
        for backends in backends {
            let instance = instance(backends);
            let found = match &wanted {
                Some(name) => named(&instance, backends, name).await,
                None => {
                    let options = wgpu::RequestAdapterOptions { power_preference: preference, ..Default::default() };
                    instance.request_adapter(&options).await.map_err(|error| format!("{}: {error}", in_words(backends)))
                }
            };
            match found {
                Ok(adapter) => return Ok(adapter),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(Error::NoAdapter { because: refusals.join("; ") })
    }

    /// On a device of the caller's.
    #[must_use]
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let attention = Attention::new(&device);
        Self {
            attention,
            device,
            queue,
            timeout: TIMEOUT,
            #[cfg(not(target_arch = "wasm32"))]
            pipelines: None,
            sessions: Mutex::new(LruCache::new(SESSIONS)),
        }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Attention on it.
    #[must_use]
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    /// The same with another longest wait for one dispatch, behind whatever else the device has to do: ten minutes, if nothing is said.
    /// After it a call ends with [`Error::Timeout`]; what was submitted goes on. In browsers nothing ends a wait.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether the device is lost: then every call ends with [`Error::Lost`], and only a new `Gpu` helps. Browsers tell it by such an
    /// error alone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        is_lost(&self.device)
    }

    /// Frees the device memory that is kept for further calls.
    pub fn clear(&self) {
        lock(&self.sessions).clear();
    }
}

/// One instance of wgpu for all devices: buffers of two instances can have one number, and wgpu then takes one for the other.
#[cfg(not(target_arch = "wasm32"))]
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    static MADE: Mutex<Vec<(wgpu::Backends, wgpu::Instance)>> = Mutex::new(Vec::new());
    let mut made = lock(&MADE);
    if let Some((_, instance)) = made.iter().find(|(of, _)| *of == backends) {
        return instance.clone();
    }
    let instance = new_instance(backends);
    made.push((backends, instance.clone()));
    instance
}

#[cfg(target_arch = "wasm32")]
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    new_instance(backends)
}

fn new_instance(backends: wgpu::Backends) -> wgpu::Instance {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    wgpu::Instance::new(wgpu::InstanceDescriptor { backends, ..descriptor })
}

/// The first adapter whose name contains `wanted`, which is in lower case.
async fn named(instance: &wgpu::Instance, backends: wgpu::Backends, wanted: &str) -> Result<wgpu::Adapter, String> {
    let mut adapters = instance.enumerate_adapters(backends).await;
    let names: Vec<_> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    match names.iter().position(|name| name.to_lowercase().contains(wanted)) {
        Some(index) => Ok(adapters.swap_remove(index)),
        None => Err(format!("WGPU_ADAPTER_NAME={wanted} among {names:?} on {}", in_words(backends))),
    }
}

/// Backends by name, and where the choice came from.
fn in_words(backends: wgpu::Backends) -> String {
    let names: Vec<_> = backends.iter_names().map(|(name, _)| name).collect();
    let all = || wgpu::Backends::all().iter_names().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { format!("none of the backends {}", all()) } else { names.join(", ") };
    match std::env::var("WGPU_BACKEND") {
        Ok(chosen) => format!("{names} (WGPU_BACKEND={chosen})"),
        Err(_) => names,
    }
}
