//! Devices that compute nothing, whose buffers are as long as a test likes.

use wgpu_attention::wgpu;

/// A device whose buffers and bindings hold this many bytes, which are below 2^31: wgpu's device that computes nothing has no more.
pub(crate) fn noop(bytes: u64) -> (wgpu::Device, wgpu::Queue) {
    let required_limits =
        wgpu::Limits { max_buffer_size: bytes, max_storage_buffer_binding_size: bytes, ..wgpu::Limits::default() };
    wgpu::Device::noop(&wgpu::DeviceDescriptor { required_limits, ..wgpu::DeviceDescriptor::default() })
}
