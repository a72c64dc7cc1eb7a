//! Measures how far each kernel is from attention in f64: largest and typical error for every element type and head dimension, over
//! inputs of every kind, in the unit of the bound that docs/accuracy.md promises.
//!
//! `cargo run --release --example accuracy`, with `--head-dims 64` for less. A software driver compiles for minutes.

use clap::Parser;
use wgpu_attention::{Algorithm, DType, Error, Gpu};

#[path = "support/accuracy.rs"]
mod accuracy;
#[path = "support/device.rs"]
mod device;

use accuracy::{Errors, Kind, Setting, promised};

/// Measures how far each kernel is from attention in f64.
#[derive(Parser)]
struct Arguments {
    /// Head dimensions, values as wide.
    #[arg(long, value_delimiter = ',', default_value = "16,64,128,256")]
    head_dims: Vec<u32>,
    /// Keys of each row.
    #[arg(long, default_value_t = 512)]
    keys: u32,
    /// Keys of the long rows, which are measured at the first head dimension only; 0 leaves them out.
    #[arg(long, default_value_t = 131_072)]
    long: u32,
}

fn main() -> Result<(), Error> {
    let (arguments, gpu) = (Arguments::parse(), Gpu::experimental()?);
    device::print_device(gpu.device());
    device::say_compiling();
    println!("errors in units of u (1 + S) max |v|: largest, typical");
    println!(
        "{:<8}{:<6}{:>9}{:>9}{}   promised",
        "kernel",
        "type",
        "head_dim",
        "keys",
        kinds(|kind| format!("{kind:?}"))
    );
    for algorithm in Algorithm::ALL {
        for dtype in [DType::F32, DType::F16, DType::Bf16] {
            let short = arguments.head_dims.iter().map(|&head_dim| (head_dim, arguments.keys));
            let long = arguments.head_dims.iter().take(1).map(|&head_dim| (head_dim, arguments.long));
            for (head_dim, kv_len) in short.chain(long.filter(|(_, keys)| *keys > 0)) {
                print_line(&gpu, &Setting { algorithm, dtype, head_dim, kv_len })?;
            }
        }
    }
    Ok(())
}

/// A column for each kind of inputs.
fn kinds(mut text: impl FnMut(Kind) -> String) -> String {
    Kind::ALL.iter().map(|&kind| format!("{:>16}", text(kind))).collect()
}

fn print_line(gpu: &Gpu, setting: &Setting) -> Result<(), Error> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        match setting.errors(gpu, kind)? {
            Some(errors) => all.push(errors),
            None => return Ok(()), // this kernel computes no such problem here
        }
    }
    let mut columns = all.iter().map(|errors: &Errors| format!("{:.2}, {:.2}", errors.largest(), errors.typical()));
    let columns = kinds(|_| columns.next().unwrap_or_default());
    let Setting { algorithm, dtype, head_dim, kv_len } = *setting;
    let (name, promised) = (algorithm.name(), promised(algorithm));
    println!("{name:<8}{:<6}{head_dim:>9}{kv_len:>9}{columns}{promised:>11}", dtype.name());
    Ok(())
}
