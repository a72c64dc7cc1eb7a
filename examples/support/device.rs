//! What an example says of the device that it runs on, and before its driver compiles kernels.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use wgpu_attention::wgpu::{self, AdapterInfo, Backend, DeviceType};

/// How to get a Vulkan driver.
const INSTALL: &str =
    "install the Vulkan driver of its maker, or Mesa's (on Debian and Ubuntu: apt install mesa-vulkan-drivers)";

/// A line that names the device, and on stderr a line of advice where it is not what a GPU can give.
pub(crate) fn print_device(device: &wgpu::Device) {
    let info = device.adapter_info();
    println!("device      {} ({:?}, {:?})", info.name, info.backend, info.device_type);
    warn_of(device);
}

/// The line of advice alone.
pub(crate) fn warn_of(device: &wgpu::Device) {
    if let Some(advice) = advice(&device.adapter_info()) {
        eprintln!("note        {advice}");
    }
}

fn advice(info: &AdapterInfo) -> Option<String> {
    let asked = std::env::var_os("WGPU_BACKEND").is_some();
    if info.backend == Backend::Gl && !asked {
        return Some(format!(
            "this is OpenGL, as no Vulkan, Metal or DX12 adapter answered: slow. If there is a GPU, {INSTALL}"
        ));
    }
    let is_software = info.device_type == DeviceType::Cpu;
    is_software
        .then(|| format!("this is a software driver, which computes on the CPU: slow. If there is a GPU, {INSTALL}"))
}

/// Says on stderr that there will be silence.
pub(crate) fn say_compiling() {
    eprintln!("compiling the kernels; the first run on a driver takes up to a minute");
}
