//! Draws where 65,536 tokens look, without ever storing their 4 billion weights.
//!
//! `cargo run --release --example long_map`
//!
//! The attention is made up, and has structure: documents of unequal lengths, tokens that look back a little, tokens that look
//! for those of their kind, and first tokens that catch what nobody else wants. Queries and keys are scored twice on the device, once
//! for the softmax and once for the map, and what is printed is all the memory that takes.

#[path = "support/device.rs"]
mod device;
#[path = "support/files.rs"]
mod files;

use std::{error::Error, io::IsTerminal, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use indicatif::ProgressBar;
use wgpu_attention::{
    Align, Gpu, Inputs, MapOf, Mask, Measures, Pool, Problem, Shape, Spec, Tensor,
    inspect::{
        self,
        plot::{Figure, HeatMap, Page},
    },
};

/// Draws a long attention as a map of its weights.
#[derive(Parser)]
struct Options {
    /// Tokens.
    #[arg(long, default_value_t = 65536, value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    len: u32,
    /// Cells along each side of the map.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=8192))]
    cells: u32,
    /// The picture; the page is written beside it.
    #[arg(long, value_name = "FILE", default_value = "target/long_map.svg")]
    out: PathBuf,
}

const DIM: usize = 64;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("long_map: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let len = options.len;
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: len, kv_len: len, head_dim: 64, value_dim: 64 };
    let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End).scale(1.0);
    let cells = options.cells.min(len);
    let measures = Measures::of(&spec).rows().received().map(cells, cells, Pool::Sum, MapOf::EachHead);
    let (q, k) = tokens(len);

    let gpu = Gpu::new()?;
    device::warn_of(gpu.device());
    device::say_compiling();
    let plan = gpu.attention().plan(&measures)?;
    println!("{}\n", plan.explain());
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(plan.steps() as u64) } else { ProgressBar::hidden() };
    let start = Instant::now();
    let inputs = Inputs::without_values(&q, &k);
    eprintln!("scoring {len} x {len} tokens twice, in {} steps", plan.steps());
    let run = gpu.run_with_progress(&measures, &inputs, |progress| bar.set_position(progress.done as u64));
    let outputs = pollster::block_on(run)?;
    let heads = inspect::heads(&measures, &outputs);
    bar.finish_and_clear();
    let took = start.elapsed();

    let (Some(map), Some(received)) = (outputs.map(), outputs.received()) else {
        return Err("the device gave less than was asked for".into());
    };
    let [cell, _] = measures.cell().ok_or("there is no map")?;
    let title = format!("{len} tokens and where they look, sums of weights over {cell} x {cell}");
    eprintln!("drawing");
    let picture = HeatMap::pooled(&measures, map)?.logarithmic();
    files::write(&options.out, Figure::new(&title, &[picture.into()], 1)?.svg().as_bytes())?;
    let page = Page::pooled(&title, &measures)?.logarithmic().layer("layer 0", map, &heads)?.html()?;
    let page_file = options.out.with_extension("html");
    files::write(&page_file, page.as_bytes())?;
    let bytes = |tensor| Problem::from(&measures).view(tensor).and_then(|view| view.bytes().ok()).unwrap_or(0);
    let inputs = bytes(Tensor::Q) + bytes(Tensor::K);
    let outputs = bytes(Tensor::Map) + bytes(Tensor::RowMeasures) + bytes(Tensor::Received);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("took            {:.1} s, with what the driver compiled on the way", took.as_secs_f64());
    println!("queries, keys   {:8.1} MiB", mib(inputs));
    println!("map, measures   {:8.1} MiB", mib(outputs));
    println!("beside them     {:8.1} MiB", mib(plan.workspace_bytes() + plan.parameter_bytes()));
    println!("stored weights  {:8.1} MiB would be", mib(4 * u64::from(len) * u64::from(len)));
    if let [head] = &heads[..] {
        let [entropy, distance, largest] = [head.entropy, head.distance, head.largest];
        println!("mean entropy {entropy:.2} nats, distance {distance:.0} keys, largest weight {largest:.3}");
    }
    let most = (0..).zip(received).max_by(|a, b| a.1.total_cmp(b.1)).map_or((0, 0.0), |(j, sum)| (j, *sum));
    println!("token {} gets most: {:.0} of {len}", most.0, most.1);
    println!("picture         {}", options.out.display());
    println!("page            {}", page_file.display());
    Ok(())
}

/// Queries and keys. Their products say how much a token looks for its own document, its kind, what stands shortly before it, and
/// the first token of its document.
fn tokens(len: u32) -> (Vec<f32>, Vec<f32>) {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut random = || 2.0 * rng.f32() - 1.0;
    let unit = |x: Vec<f32>| {
        let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        x.into_iter().map(|x| x / norm).collect::<Vec<_>>()
    };
    let mut direction = |n: usize| unit((0..n).map(|_| random()).collect());
    let kinds: Vec<_> = (0..6).map(|_| direction(16)).collect();
    let (mut q, mut k) = (Vec::with_capacity(len as usize * DIM), Vec::with_capacity(len as usize * DIM));
    let (mut document, mut start, mut end) = (direction(16), 0, 0);
    let mut lengths = fastrand::Rng::with_seed(8);
    for i in 0..len {
        if i == end {
            (document, start) = (direction(16), i);
            end = i + 1 + lengths.u32(len / 40..len / 6);
        }
        let kind = &kinds[((i - start) / (len / 256 + 1)) as usize % kinds.len()];
        // Waves of several lengths agree for tokens near each other.
        let waves: Vec<f32> = (0..8)
            .flat_map(|n| {
                let angle = i as f32 / (len as f32 / 64.0 / (1.6f32).powi(n));
                [angle.cos(), angle.sin()]
            })
            .collect();
        let first = if i == start { 1.0 } else { 0.0 };
        q.extend(document.iter().map(|x| 9.0 * x).chain(kind.iter().map(|x| 4.0 * x)).chain(waves.iter().copied()));
        k.extend(document.iter().chain(kind).chain(&waves).copied());
        q.extend([9.0].into_iter().chain([0.0; 15]));
        k.extend([first].into_iter().chain([0.0; 15]));
    }
    (q, k)
}
