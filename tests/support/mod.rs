//! What tests with a device share: invented problems, buffers that tell what touched them, a runner that takes any shader text.

pub(crate) mod block_masks;
pub(crate) mod buffers;
pub(crate) mod case;
mod draw;
pub(crate) mod each_kernel;
pub(crate) mod indexes;
pub(crate) mod numbers;
pub(crate) mod program;
pub(crate) mod stored;

use wgpu_attention::{Error, Gpu, Outputs, Plan, Problem, Tensor, View, reference, wgpu};

use crate::support::buffers::Buffers;
pub(crate) use crate::support::case::Case;

/// The device of the environment's choice, with all that kernels can use.
///
/// # Panics
///
/// Without an adapter: a test that asked for one has failed.
pub(crate) fn gpu() -> Gpu {
    Gpu::experimental().unwrap_or_else(|error| panic!("{error}"))
}

/// The same without what wgpu calls experimental, as callers have it.
///
/// # Panics
///
/// Without an adapter.
pub(crate) fn stable_gpu() -> Gpu {
    Gpu::new().unwrap_or_else(|error| panic!("{error}"))
}

/// A device of the same adapter with these features, of those that it has, and these limits; of workgroup memory no more than it has.
///
/// # Panics
///
/// Without an adapter, or if it refuses.
pub(crate) fn lesser_gpu(features: wgpu::Features, mut limits: wgpu::Limits) -> Gpu {
    let made = pollster::block_on(async {
        let adapter = Gpu::adapter(wgpu::PowerPreference::HighPerformance).await.map_err(text)?;
        let most = adapter.limits().max_compute_workgroup_storage_size;
        limits.max_compute_workgroup_storage_size = limits.max_compute_workgroup_storage_size.min(most);
        let (required_features, required_limits) = (adapter.features() & features, limits);
        let descriptor = wgpu::DeviceDescriptor { required_features, required_limits, ..Default::default() };
        adapter.request_device(&descriptor).await.map_err(|error| error.to_string())
    });
    let (device, queue) = made.unwrap_or_else(|error| panic!("{error}"));
    Gpu::from_device(device, queue)
}

/// Runs a plan of a case between canaries.
pub(crate) fn run_plan<P>(gpu: &Gpu, plan: &Plan, case: &Case<P>) -> Result<Buffers, String>
where
    P: Clone + Into<Problem>,
{
    let buffers = Buffers::new(gpu, case, plan.views());
    let bound = plan.bind(&buffers.bindings()).map_err(text)?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    bound.encode(&mut encoder);
    gpu.queue().submit([encoder.finish()]);
    Ok(buffers)
}

impl<P: Clone + Into<Problem>> Case<P> {
    /// Whether an element of an output is written.
    pub(crate) fn writes(&self, view: &View, [_, _, row, _]: [u32; 4]) -> bool {
        let row = match view.tensor {
            Tensor::K | Tensor::V => return true,
            Tensor::Weights | Tensor::Scores => row + self.first_row,
            _ => row,
        };
        self.sequences(Tensor::CuQ).is_none_or(|rows| rows.iter().any(|rows| rows.contains(&row)))
    }

    /// Compares every output with the oracle under the tolerance rule.
    pub(crate) fn compare(&self, actual: &Outputs<f32>) -> Result<(), String> {
        reference::check(self.spec.clone(), &self.inputs(), actual).map(drop).map_err(|wrong| wrong.to_string())
    }
}

/// All failures of a test, told together at its end.
#[derive(Default)]
pub(crate) struct Failures {
    ran: usize,
    failed: Vec<String>,
}

impl Failures {
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String, result: Result<(), String>) {
        self.ran += 1;
        if let Err(why) = result {
            self.failed.push(format!("{}: {why}", what()));
        }
    }

    /// # Panics
    ///
    /// If anything failed, or nothing ran.
    pub(crate) fn finish(self, name: &str) {
        println!("{name}: {} ran, {} failed", self.ran, self.failed.len());
        assert!(self.ran > 0, "{name}: nothing ran");
        assert!(self.failed.is_empty(), "{name}:\n{}", self.failed.join("\n"));
    }
}

/// Waits for everything submitted and reads a buffer with `COPY_SRC`.
pub(crate) fn read(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<u8> {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: buffer.size(), usage, mapped_at_creation: false };
    let staging = gpu.device().create_buffer(&descriptor);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapping"));
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    staging.get_mapped_range(..).expect("mapped").to_vec()
}

/// An error as text, for collecting.
pub(crate) fn text(error: Error) -> String {
    error.to_string()
}
