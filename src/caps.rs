//! The few facts about a device that choices are made from, as plain data.

/// What sort of device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A processor, by a software driver.
    Cpu,
    /// A GPU with power and memory of its own.
    Discrete,
    /// Any other GPU, or nobody knows.
    Other,
}

/// What a device offers. Tests build it by hand; [`Caps::of`] reads it off a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Name of the adapter, for reports.
    pub adapter: String,
    /// Name and version of the driver: what was measured with one need not hold with another.
    pub driver: String,
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// Whether its compiler unrolls loops inside loops. Mesa's does in 26; in 22.3 it compiles `row` for 26 s where an invocation
    /// has four rows, and makes it four times as slow as with one.
    pub unrolls: bool,
    /// Whether shaders have 16-bit floats.
    pub f16: bool,
    /// The smallest and the largest subgroup, where shaders have subgroup operations.
    pub subgroups: Option<[u32; 2]>,
    /// Rows and columns of the cooperative matrices that it multiplies, 16-bit floats into 32-bit sums, where the caller has
    /// asked for them ([`Attention::with_adapter`](crate::Attention::with_adapter)).
    pub matrix: Option<u32>,
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
            driver: String::new(),
            kind: DeviceKind::Other,
            unrolls: true,
            f16: false,
            subgroups: None,
            matrix: None,
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
        let features = device.features();
        Self {
            adapter: format!("{} ({:?}, {:?})", info.name, info.backend, info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info),
            kind: match info.device_type {
                wgpu::DeviceType::Cpu => DeviceKind::Cpu,
                wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
                _ => DeviceKind::Other,
            },
            unrolls: unrolls(&info.driver_info),
            f16: features.contains(wgpu::Features::SHADER_F16),
            matrix: None,
            subgroups: features
                .contains(wgpu::Features::SUBGROUP)
                .then_some([info.subgroup_min_size, info.subgroup_max_size]),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            workgroups: limits.max_compute_workgroups_per_dimension,
            binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            storage_align: limits.min_storage_buffer_offset_alignment,
            uniform_align: limits.min_uniform_buffer_offset_alignment,
        }
    }

    /// The same with the matrices that `adapter` declares, if `device` was made with what they need.
    #[must_use]
    pub(crate) fn with_matrices(self, device: &wgpu::Device, adapter: &wgpu::Adapter) -> Self {
        let needs = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
            | wgpu::Features::SUBGROUP
            | wgpu::Features::SUBGROUP_BARRIER
            | wgpu::Features::SHADER_F16;
        if !device.features().contains(needs) {
            return self;
        }
        let square = |p: &wgpu::CooperativeMatrixProperties| {
            let [m, n, k] = [p.m_size, p.n_size, p.k_size];
            let types = (p.ab_type, p.cr_type) == (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
            (m == n && n == k && [8, 16].contains(&m) && types).then_some(m)
        };
        Self { matrix: adapter.cooperative_matrix_properties().iter().filter_map(square).max(), ..self }
    }

    /// How many neighbours in a subgroup can load for each other, whatever its size: 8, 4, or 0 for none.
    pub(crate) fn neighbours(&self) -> u32 {
        self.subgroups.map_or(0, |[least, _]| if least >= 8 { 8 } else { least / 4 * 4 })
    }

    /// The means that both have.
    #[must_use]
    pub fn within(self, other: &Self) -> Self {
        Self {
            adapter: self.adapter,
            driver: self.driver,
            kind: self.kind,
            unrolls: self.unrolls && other.unrolls,
            f16: self.f16 && other.f16,
            subgroups: self.subgroups.and(other.subgroups),
            matrix: self.matrix.and(other.matrix),
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

/// Of a driver that says its name and version in words.
fn unrolls(driver: &str) -> bool {
    let mesa = driver.split_once("Mesa ").and_then(|(_, version)| version.split('.').next()?.parse::<u32>().ok());
    mesa.is_none_or(|version| version >= 25)
}

#[cfg(test)]
mod tests {
    #[test]
    fn old_compilers_are_known() {
        assert!(!super::unrolls("Mesa 22.3.6 (LLVM 15.0.6)"));
        assert!(super::unrolls("Mesa 26.2.6-1 (LLVM 22.1.8)"));
        assert!(super::unrolls("580.65.06") && super::unrolls("Mesa") && super::unrolls(""));
    }
}
