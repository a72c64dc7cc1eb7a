//! The few facts about a device that choices are made from, as plain data.

/// What a device offers. Tests build it by hand; [`Caps::of`] reads it off a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Name of the adapter, for reports.
    pub adapter: String,
    /// Whether it is a GPU with power and memory of its own, which does more work before a watchdog looks.
    pub discrete: bool,
    /// Whether shaders have 16-bit floats.
    pub f16: bool,
    /// Bytes of workgroup memory of one workgroup.
    pub workgroup_bytes: u32,
    /// Invocations of one workgroup.
    pub invocations: u32,
    /// Workgroups of one dispatch along one dimension.
    pub workgroups: u32,
    /// Bytes of one storage binding.
    pub binding_bytes: u64,
    /// Storage buffers that one shader may bind.
    pub storage_buffers: u32,
    /// A storage binding starts at a multiple of this many bytes.
    pub storage_align: u32,
    /// A dynamic uniform offset is a multiple of this many bytes.
    pub uniform_align: u32,
}

impl Caps {
    /// What every WebGPU device offers.
    #[must_use]
    pub fn webgpu() -> Self {
        Self {
            adapter: "any WebGPU device".into(),
            discrete: false,
            f16: false,
            workgroup_bytes: 16384,
            invocations: 256,
            workgroups: 65535,
            binding_bytes: 128 << 20,
            storage_buffers: 8,
            storage_align: 256,
            uniform_align: 256,
        }
    }

    /// What this device was created with, which may be less than its hardware has.
    #[must_use]
    pub fn of(device: &wgpu::Device) -> Self {
        let limits = device.limits();
        let info = device.adapter_info();
        Self {
            adapter: format!("{} ({:?}, {:?})", info.name, info.backend, info.device_type),
            discrete: info.device_type == wgpu::DeviceType::DiscreteGpu,
            f16: device.features().contains(wgpu::Features::SHADER_F16),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            workgroups: limits.max_compute_workgroups_per_dimension,
            binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            storage_align: limits.min_storage_buffer_offset_alignment,
            uniform_align: limits.min_uniform_buffer_offset_alignment,
        }
    }

    /// The means that both have.
    #[must_use]
    pub fn within(self, other: &Self) -> Self {
        Self {
            adapter: self.adapter,
            discrete: self.discrete && other.discrete,
            f16: self.f16 && other.f16,
            workgroup_bytes: self.workgroup_bytes.min(other.workgroup_bytes),
            invocations: self.invocations.min(other.invocations),
            workgroups: self.workgroups.min(other.workgroups),
            binding_bytes: self.binding_bytes.min(other.binding_bytes),
            storage_buffers: self.storage_buffers.min(other.storage_buffers),
            storage_align: self.storage_align.max(other.storage_align),
            uniform_align: self.uniform_align.max(other.uniform_align),
        }
    }
}
