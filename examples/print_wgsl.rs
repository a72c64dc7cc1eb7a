//! Prints the whole text of a kernel, as the driver gets it, for people who debug shaders. Needs no device.
//!
//! `cargo run --release --example print_wgsl -- prefill --head-dim 80 --lse > prefill.wgsl`
//!
//! Comments at the top say what is bound and what one workgroup takes; `--list` lists the kernels. The text is valid WGSL,
//! for a shader compiler or an editor.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser;
use wgpu_attention::{
    Caps, Layout, Shape, Spec,
    kernels::{Kernel, Workgroup},
    shader::{Kind, declared},
};

/// Prints the WGSL text of a kernel.
#[derive(Parser)]
struct Options {
    /// Its name.
    #[arg(required_unless_present = "list")]
    kernel: Option<String>,
    /// Lists the names of all kernels.
    #[arg(long)]
    list: bool,
    /// Elements of a query and of a key.
    #[arg(long, value_name = "N", default_value_t = 64)]
    head_dim: u32,
    /// Elements of a value [default: head_dim].
    #[arg(long, value_name = "N")]
    value_dim: Option<u32>,
    /// Keys, which size the workgroup of softmax.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    kv_len: u32,
    /// The text that writes the log-sum-exp too.
    #[arg(long)]
    lse: bool,
    /// The text for tensors at odd offsets, which cannot be read four elements at a time.
    #[arg(long)]
    scalar: bool,
    /// The text for tensors that share a buffer, where every binding is writable.
    #[arg(long)]
    shared_buffer: bool,
    /// Bytes of workgroup memory that the device has.
    #[arg(long, value_name = "N", default_value_t = Caps::webgpu().workgroup_bytes)]
    bytes: u32,
}

fn main() -> ExitCode {
    match text(&Options::parse()) {
        // A reader that closes the pipe early, such as `head`, has what it wanted.
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error.to_string()),
            _ => ExitCode::SUCCESS,
        },
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("print_wgsl: {message}");
    ExitCode::FAILURE
}

fn text(options: &Options) -> Result<String, String> {
    let Some(name) = options.kernel.as_deref().filter(|_| !options.list) else {
        return Ok(Kernel::NAMES.join("\n") + "\n");
    };
    let caps = Caps { workgroup_bytes: options.bytes, ..Caps::webgpu() };
    let kernel = Kernel::named(name, &spec(options), &caps).map_err(|error| error.to_string())?;
    Ok(header(&kernel) + &kernel.shader().source())
}

fn spec(options: &Options) -> Spec {
    let (head_dim, kv_len) = (options.head_dim, options.kv_len);
    let value_dim = options.value_dim.unwrap_or(head_dim);
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1024, kv_len, head_dim, value_dim };
    let mut spec = Spec::new(shape);
    if options.lse {
        spec = spec.lse();
    }
    if options.shared_buffer {
        spec = spec.shared_buffer();
    }
    if options.scalar {
        let odd = |dim: u32| Layout { offset: 1, batch: 0, head: 0, row: dim.into() };
        spec = spec.q_layout(odd(head_dim)).out_layout(odd(value_dim));
    }
    spec
}

/// What a host must know to run the text, as WGSL comments.
fn header(kernel: &Kernel) -> String {
    let shader = kernel.shader();
    let Workgroup { invocations, bytes, rows, keys } = shader.workgroup();
    let mut header = format!("// kernel      {}, entry point main\n", shader.name());
    let _ = writeln!(header, "// workgroup   {invocations} invocations, {bytes} bytes of workgroup memory");
    let _ = match keys {
        0 => writeln!(header, "// work item   {rows} query rows"),
        _ => writeln!(header, "// work item   {rows} query rows, {keys} keys at a time"),
    };
    let _ = writeln!(header, "// reads       {}", shader.loads());
    for declared in declared(&shader.source()) {
        let kind = match declared.kind {
            Kind::Uniform => "uniform, dynamic offset",
            Kind::Read => "storage, read",
            Kind::ReadWrite => "storage, read_write",
        };
        let _ = writeln!(header, "// binding {:<3} {} ({kind})", declared.binding, declared.name);
    }
    header + "\n"
}
