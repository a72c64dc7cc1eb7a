//! Devices of less than an adapter has, so that what the crate does without it is run too.

use std::error::Error;

use wgpu_attention::{Gpu, wgpu};

/// What a device may do.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(crate) enum Limits {
    /// All that the adapter can.
    Adapter,
    /// What every WebGPU device can, with no optional feature.
    #[value(name = "webgpu")]
    WebGpu,
    /// The same with bindings of 1 MiB and 256 workgroups along a dimension: larger problems are split.
    Small,
}

impl Limits {
    /// A device of the adapter that the environment names, else of the fastest.
    pub(crate) fn gpu(self) -> Result<Gpu, Box<dyn Error>> {
        let defaults = wgpu::Limits::default();
        let required_limits = match self {
            Self::Adapter => return Ok(Gpu::new()?),
            Self::WebGpu => defaults,
            Self::Small => wgpu::Limits {
                max_storage_buffer_binding_size: 1 << 20,
                max_compute_workgroups_per_dimension: 256,
                ..defaults
            },
        };
        pollster::block_on(async {
            let preference = wgpu::PowerPreference::from_env().unwrap_or(wgpu::PowerPreference::HighPerformance);
            let adapter = Gpu::adapter(preference).await?;
            let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
            let (device, queue) = adapter.request_device(&descriptor).await?;
            Ok(Gpu::from_device(device, queue))
        })
    }
}
