//! Prints the whole text of a kernel, as the driver gets it, for people who debug shaders. Needs no device.
//!
//! `cargo run --release --example print_wgsl -- tile --head-dim 80 --with lse,bias > tile.wgsl`
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
    Align, Angles, BlockForm, Caps, DType, DeviceKind, Layout, Pairs, Rotary, Shape, Slopes, Spec,
    kernels::{Choice, Kernel, Workgroup},
    program::Program,
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
    /// Features of the problem, comma-separated. Kernels that make no pass over the keys need some: scores weights, classify bias,
    /// keep or block_mask, rotary append or rotated, pack kv_lens, merge parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    with: Vec<Feature>,
    /// Element type of q, k, v, out and bias.
    #[arg(long, value_enum, default_value_t = Type::F32)]
    dtype: Type,
    /// The text for devices whose shaders have 16-bit floats.
    #[arg(long)]
    f16: bool,
    /// The text for tensors at odd offsets, which cannot be read four elements at a time.
    #[arg(long)]
    scalar: bool,
    /// The text for tensors that share a buffer, where every binding is writable.
    #[arg(long)]
    shared_buffer: bool,
    /// The text for devices whose shaders have subgroup operations, with subgroups of so many invocations.
    #[arg(long, value_name = "N")]
    subgroups: Option<u32>,
    /// The text for devices with cooperative matrices of so many rows and columns; with --f16, --subgroups and --dtype f16.
    #[arg(long, value_name = "N")]
    matrix: Option<u32>,
    /// The text for a CPU.
    #[arg(long)]
    cpu: bool,
    /// Queries, 1024 unless few share the keys that decode reads.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    q_len: u32,
    /// Bytes of workgroup memory that the device has.
    #[arg(long, value_name = "N", default_value_t = Caps::webgpu().workgroup_bytes)]
    bytes: u32,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Feature {
    Lse,
    Weights,
    Softcap,
    Bias,
    Keep,
    BlockMask,
    Alibi,
    Sinks,
    /// The weighted tanh of sums in the place of products.
    Additive,
    /// A factor on the scores of each head.
    HeadScales,
    KvLens,
    Append,
    Rotated,
    Packed,
    /// Keys longer than one binding.
    Parts,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Type {
    F32,
    F16,
    Bf16,
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
        return Ok(Kernel::names().collect::<Vec<_>>().join("\n") + "\n");
    };
    let mut caps = Caps {
        workgroup_bytes: options.bytes,
        f16: options.f16,
        subgroups: options.subgroups.map(|size| [size; 2]),
        matrix: options.matrix,
        ..Caps::webgpu()
    };
    if options.cpu {
        caps.kind = DeviceKind::Cpu;
    }
    if options.with.contains(&Feature::Parts) {
        caps.binding_bytes = 1 << 16;
    }
    // A forward kernel is asked for by its name; the others come along with whichever suits.
    let choice = name.parse().map_or(Choice::Suggested, Choice::Asked);
    let program = Program::new(spec(options), &caps, choice).map_err(|error| error.to_string())?;
    let kernel = program.kernels.iter().find(|kernel| kernel.shader().name() == name);
    kernel.map(|kernel| header(kernel) + &kernel.shader().source().wgsl).ok_or_else(|| {
        let made: Vec<_> = program.kernels.iter().map(|kernel| kernel.shader().name()).collect();
        let known = Kernel::names().collect::<Vec<_>>().join(", ");
        format!("this problem has no kernel {name:?}, it has {}; --with makes others, of {known}", made.join(", "))
    })
}

fn spec(options: &Options) -> Spec {
    let head_dim = options.head_dim;
    let value_dim = options.value_dim.unwrap_or(head_dim);
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: options.q_len, kv_len: 1024, head_dim, value_dim };
    let dtype = match options.dtype {
        Type::F32 => DType::F32,
        Type::F16 => DType::F16,
        Type::Bf16 => DType::Bf16,
    };
    let spec = Spec::new(shape).q_type(dtype).kv_type(dtype).out_type(dtype).bias_type(dtype);
    let mut spec = options.with.iter().fold(spec, |spec, feature| with(spec, *feature, head_dim));
    if options.shared_buffer {
        spec = spec.shared_buffer();
    }
    if options.scalar {
        let odd = |dim: u32| Layout { offset: 1, batch: 0, head: 0, row: dim.into() };
        spec = spec.q_layout(odd(head_dim)).out_layout(odd(value_dim));
    }
    spec
}

fn with(spec: Spec, feature: Feature, head_dim: u32) -> Spec {
    let square = Layout { offset: 0, batch: 0, head: 0, row: 1024 };
    let angles = Angles::Appended { positions: 1024 };
    match feature {
        Feature::Lse => spec.lse(),
        Feature::Weights => spec.weights(),
        Feature::Softcap => spec.softcap(30.0),
        Feature::Bias => spec.bias(square, 1024),
        Feature::Keep => spec.keep(square, 1024),
        Feature::BlockMask => {
            let q_len = spec.shape().q_len;
            spec.block_mask(BlockForm { q_len, kv_len: 1024, block: 64, heads: 1, partial: 64 })
        }
        Feature::Alibi => spec.alibi(Slopes::Head).align(Align::End),
        Feature::Sinks => spec.sinks(),
        Feature::Additive => spec.additive(),
        Feature::HeadScales => spec.head_scales(),
        Feature::KvLens => spec.kv_lens(),
        Feature::Append => spec.append(1),
        Feature::Rotated => spec.append_rotated(1, Rotary { dim: head_dim / 2 * 2, pairs: Pairs::Halves, angles }),
        Feature::Packed => spec.packed(8),
        Feature::Parts => spec,
    }
}

/// What a host must know to run the text, as WGSL comments.
fn header(kernel: &Kernel) -> String {
    let shader = kernel.shader();
    let Workgroup { invocations, bytes, rows, keys, .. } = shader.workgroup();
    let mut header = format!("// kernel      {}, entry point main\n", shader.name());
    let _ = writeln!(header, "// workgroup   {invocations} invocations, {bytes} bytes of workgroup memory");
    let _ = match keys {
        0 => writeln!(header, "// work item   one for each invocation"),
        _ => writeln!(header, "// work item   {rows} query rows, {keys} keys at a time"),
    };
    let _ = writeln!(header, "// reads       {}", shader.loads());
    let source = shader.source();
    header += "// binding 0   params (uniform, dynamic offset)\n";
    for binding in &source.bindings {
        let (number, name) = (binding.slot.binding(), binding.slot.name());
        let kind = if binding.writable { "read_write" } else { "read" };
        let _ = writeln!(header, "// binding {number:<3} {name} (storage, {kind})");
    }
    let places: Vec<_> = source.places.iter().map(|slot| slot.name()).collect();
    let _ = writeln!(header, "// places      {}", places.join(" "));
    header + "\n"
}
