//! Lists the adapters that wgpu finds here, one a line: backend, type, name, driver. In a terminal they are columns under a header;
//! elsewhere they are separated by tabs, with no header, for programs to read.
//!
//! `cargo run --release --example adapters`. `WGPU_ADAPTER_NAME` and `WGPU_BACKEND` choose among them in every program.
//! `--details` says what each can do, and which one the crate takes unless told otherwise.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use wgpu_attention::{Gpu, wgpu};

/// Lists the adapters that wgpu finds here.
#[derive(Parser)]
struct Arguments {
    /// Also what each can do: features, limits, subgroups, cooperative matrices; and the one that the crate takes, last.
    #[arg(long)]
    details: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let backends = descriptor.backends;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    if adapters.is_empty() {
        eprintln!("no adapter answered: install the Vulkan driver of your GPU");
    } else if std::io::stdout().is_terminal() {
        println!("{}", joined(["BACKEND", "TYPE", "NAME", "DRIVER"]));
    }
    for adapter in adapters {
        println!("{}", line(&adapter.get_info()));
        if arguments.details {
            print_details(&adapter);
        }
    }
    if !arguments.details {
        return ExitCode::SUCCESS;
    }
    match Gpu::experimental() {
        Ok(gpu) => {
            println!("taken\t{}\n{:#?}", line(&gpu.device().adapter_info()), gpu.attention().caps());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn line(info: &wgpu::AdapterInfo) -> String {
    let [backend, kind] = [format!("{:?}", info.backend), format!("{:?}", info.device_type)];
    joined([&backend, &kind, &info.name, &format!("{} {}", info.driver, info.driver_info)])
}

/// Columns for a reader, tabs for a program.
fn joined([backend, kind, name, driver]: [&str; 4]) -> String {
    if std::io::stdout().is_terminal() {
        format!("{backend:<8} {kind:<13} {name:<44} {driver}")
    } else {
        [backend, kind, name, driver].join("\t")
    }
}

fn print_details(adapter: &wgpu::Adapter) {
    let info = adapter.get_info();
    println!("  subgroups of {} to {}", info.subgroup_min_size, info.subgroup_max_size);
    for matrix in adapter.cooperative_matrix_properties() {
        println!("  cooperative matrix {matrix:?}");
    }
    let names: Vec<_> = adapter.features().iter_names().map(|(name, _)| name).collect();
    println!("  features {}", names.join(" "));
    println!("  {:?}", adapter.limits());
}
