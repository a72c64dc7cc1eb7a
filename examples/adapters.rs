//! Lists the adapters that wgpu finds here, one a line: backend, type, name, driver, tab-separated.
//!
//! `cargo run --release --example adapters`. `WGPU_ADAPTER_NAME` and `WGPU_BACKEND` choose among them in every program.

use wgpu_attention::wgpu;

fn main() {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let backends = descriptor.backends;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    for adapter in adapters {
        let info = adapter.get_info();
        println!("{:?}\t{:?}\t{}\t{} {}", info.backend, info.device_type, info.name, info.driver, info.driver_info);
    }
}
