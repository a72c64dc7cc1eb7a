//! Kernels into pipelines, each made once.

use std::{num::NonZeroUsize, sync::Mutex};

use lru::LruCache;

use crate::{
    error::Error,
    kernels::{Kernel, workgroup::Shader},
    shader::{
        params::Params,
        source::{Binding, Source},
    },
};

/// Pipelines kept: far above what a model uses; the one not used for longest goes first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// How much a driver checks of what a shader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Checks {
    /// Bounds of every index and of every loop.
    All,
    /// None: this crate's shaders stay inside their buffers, and tests run each of them with all checks too.
    None,
}

/// A compiled kernel.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
    pub(crate) bindings: Vec<Binding>,
}

/// The pipelines of one device.
#[derive(Debug)]
pub(crate) struct Pipelines {
    device: wgpu::Device,
    checks: Checks,
    cache: Option<wgpu::PipelineCache>,
    made: Mutex<LruCache<Kernel, Pipeline>>,
}

impl Pipelines {
    pub(crate) fn new(device: wgpu::Device, checks: Checks, cache: Option<wgpu::PipelineCache>) -> Self {
        Self { device, checks, cache, made: Mutex::new(LruCache::new(CAPACITY)) }
    }

    /// The same, with no pipeline made yet.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.device.clone(), self.checks, self.cache.clone())
    }

    pub(crate) const fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The pipeline of a kernel, compiled if this is its first use.
    pub(crate) async fn get(&self, kernel: Kernel) -> Result<Pipeline, Error> {
        if let Some(pipeline) = lock(&self.made).get(&kernel) {
            return Ok(pipeline.clone());
        }
        let scopes = Scopes::open(&self.device);
        let pipeline = self.compile(kernel.shader());
        scopes.close("a compute pipeline").await?;
        lock(&self.made).put(kernel, pipeline.clone());
        Ok(pipeline)
    }

    pub(crate) const fn checks(&self) -> Checks {
        self.checks
    }

    fn compile(&self, shader: &dyn Shader) -> Pipeline {
        let (name, Source { wgsl, bindings, .. }) = (shader.name(), shader.source());
        let checks = if shader.needs().checks { Checks::All } else { self.checks };
        let entries: Vec<_> = std::iter::once(uniform_entry()).chain(bindings.iter().map(layout_entry)).collect();
        let descriptor = wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries };
        let layout = self.device.create_bind_group_layout(&descriptor);
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &self.module(name, &wgsl, checks),
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Nothing reads workgroup memory that it has not written.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.cache.as_ref(),
        });
        Pipeline { pipeline, layout, bindings }
    }

    #[expect(unsafe_code, reason = "unchecked modules are 2 to 5 times as fast: the loop bounding keeps loops rolled")]
    fn module(&self, name: &str, wgsl: &str, checks: Checks) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(wgsl.into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source };
        match checks {
            Checks::All => self.device.create_shader_module(descriptor),
            // SAFETY: the text comes from this crate's own files alone, or its host file had asked for checks. Every loop has a bound
            // that is a constant, a length in the parameters, or a length read on the device and cut to one of those. Every index is
            // below the length of what it indexes: a constant for arrays of functions and workgroups; for tensors the extent that
            // binding has checked, whatever the device reads. tests/device/indexes.rs compares every index of every kernel with that
            // length, on ordinary data and on hostile; tests/device/oracle.rs runs every kernel in both modes.
            Checks::None => unsafe {
                self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            },
        }
    }
}

fn uniform_entry() -> wgpu::BindGroupLayoutEntry {
    let size = wgpu::BufferSize::new(size_of::<Params>() as u64);
    entry(0, wgpu::BufferBindingType::Uniform, size)
}

fn layout_entry(binding: &Binding) -> wgpu::BindGroupLayoutEntry {
    entry(binding.slot.binding(), wgpu::BufferBindingType::Storage { read_only: !binding.writable }, None)
}

fn entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
    min_binding_size: Option<wgpu::BufferSize>,
) -> wgpu::BindGroupLayoutEntry {
    let has_dynamic_offset = ty == wgpu::BufferBindingType::Uniform;
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size },
        count: None,
    }
}

/// Error scopes around what is made between [`open`](Self::open) and [`close`](Self::close): its errors are nobody else's.
///
/// Scopes belong to a thread, so both calls stand in one piece of code that does not wait.
pub(crate) struct Scopes {
    device: wgpu::Device,
    /// Internal errors, memory, validation.
    guards: [wgpu::ErrorScopeGuard; 3],
}

impl Scopes {
    pub(crate) fn open(device: &wgpu::Device) -> Self {
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
        Self { device: device.clone(), guards: filters.map(|filter| device.push_error_scope(filter)) }
    }

    /// What the driver said of `what` was made.
    pub(crate) fn close(self, what: &'static str) -> impl Future<Output = Result<(), Error>> + wgpu::WasmNotSend {
        let Self { device, guards: [internal, memory, validation] } = self;
        let said = [validation.pop(), memory.pop(), internal.pop()];
        async move {
            for error in said {
                if let Some(error) = error.await {
                    return Err(refusal(&device, what, &error));
                }
            }
            Ok(())
        }
    }
}

fn refusal(device: &wgpu::Device, what: &'static str, error: &wgpu::Error) -> Error {
    let because = error.to_string();
    match error {
        // What was made on a lost device is invalid, and that is all that wgpu says of it.
        _ if is_lost(device) => Error::Lost { because },
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { what, because },
        _ => Error::Device { what, because },
    }
}

/// Whether a device is lost. Its owner may have a handler for that, so this asks in another way: a lost device makes buffers that
/// cannot be mapped, without any error.
pub(crate) fn is_lost(device: &wgpu::Device) -> bool {
    let filters = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let usage = wgpu::BufferUsages::COPY_SRC;
    let descriptor = wgpu::BufferDescriptor { label: Some("a probe"), size: 4, usage, mapped_at_creation: true };
    let mapped = device.create_buffer(&descriptor).get_mapped_range(..).is_ok();
    scopes.into_iter().rev().for_each(drop);
    !mapped
}

/// A poisoned cache is still a cache: nothing is left half-written in it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
