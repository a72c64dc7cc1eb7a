//! Attention over a graph: each paper of a citation graph looks at those that it cites, those that cite it, and itself.
//!
//! `cargo run --release --example graph_attention`
//!
//! The graph is made up, with a seed: papers of a dozen fields in the order of their years, which cite mostly their own field and
//! mostly what is cited already. Its edges become a block mask; every row is checked against the CPU oracle on its neighbours alone, and
//! the time is compared with that of the same pairs as a keep-mask, and of all pairs. `--shares` times how it goes with the share
//! of blocks that a mask keeps.

#[path = "support/device.rs"]
mod device;

use std::{
    collections::BTreeSet,
    error::Error,
    ops::Range,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use wgpu_attention::{
    Bindings, BlockMask, DType, Data, Gpu, Inputs, Layout, Measures, Outputs, Seen, Shape, Spec, reference, wgpu,
};

/// Attends along the edges of a graph.
#[derive(Parser)]
struct Options {
    /// Papers.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(64..=1 << 17))]
    papers: u32,
    /// Papers that each cites, as far as there are earlier ones.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    cites: u32,
    /// Rows and keys of a block: 16, 32, 64, 128 or 256.
    #[arg(long, default_value_t = 64)]
    block: u32,
    /// Times masks of random blocks that keep 1 to 100 % of 16,384 x 16,384 pairs, and nothing else.
    #[arg(long)]
    shares: bool,
}

const DIM: usize = 64;

const FIELDS: [&str; 12] = [
    "optics", "graphs", "logic", "genetics", "oceans", "steel", "vision", "markets", "soils", "galaxies", "language",
    "sleep",
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graph_attention: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let gpu = Gpu::new()?;
    device::print_device(gpu.device());
    if options.shares { shares(&gpu) } else { graph(&gpu, options) }
}

fn graph(gpu: &Gpu, options: &Options) -> Result<()> {
    let graph = Graph::new(options.papers, options.cites);
    let edges: Vec<_> = (0..).zip(&graph.neighbours).flat_map(|(i, seen)| seen.iter().map(move |&j| (i, j))).collect();
    let lens = [options.papers; 2];
    let start = Instant::now();
    let mask = BlockMask::edges(lens, options.block, &edges)?;
    let made = start.elapsed();
    println!("{} papers, {} edges; made into a block mask in {:.1} ms", options.papers, edges.len(), ms(made));
    println!(
        "blocks of {}: {} of {} kept ({:.1} %), {:.2} MiB",
        options.block,
        mask.kept(),
        mask.blocks(),
        100.0 * mask.density(),
        4.0 * mask.words().len() as f64 / f64::from(1 << 20)
    );

    let x = graph.features();
    let dense = Spec::new(shape(options.papers)).scale(FOCUS);
    let (sparse, inputs) = (dense.clone().block_mask(mask.form()), Inputs::new(&x, &x, &x));
    let blocks = inputs.block_mask(mask.words());
    device::say_compiling();
    let outputs = gpu.run(&sparse, &blocks)?;
    eprintln!("checking every row on the CPU");
    let worst = graph.check(&x, &outputs)?;
    println!("every row is that of its neighbours alone: largest error {worst:.1e}\n");

    let layout = Layout::broadcast(&lens).ok_or("two sizes")?;
    let kept = dense.clone().keep(layout, options.papers).keep_type(DType::Bit);
    let mut keep = vec![false; options.papers as usize * options.papers as usize];
    edges.iter().for_each(|&(i, j)| keep[i as usize * options.papers as usize + j as usize] = true);
    for (what, spec, inputs) in [
        ("block mask", &sparse, &blocks),
        ("the same pairs as a keep-mask in bits", &kept, &inputs.keep(&keep)),
        ("all pairs", &dense, &inputs),
    ] {
        eprintln!("compiling and timing: {what}");
        let (first, least) = time(gpu, spec, inputs)?;
        println!(
            "{:9.2} ms  {what} (the first result after {:.1} s, with compilation)",
            ms(least),
            first.as_secs_f64()
        );
    }

    eprintln!("compiling and measuring the largest weights");
    println!("\nwhere the papers with most neighbours look, but for themselves:");
    let top = gpu.run(Measures::of(&sparse).top(4), &Inputs::without_values(&x, &x).block_mask(mask.words()))?;
    let (Some(weights), Some(keys)) = (top.top_weights(), top.top_keys()) else {
        return Err("no largest weights".into());
    };
    let mut most: Vec<_> = (0..options.papers as usize).collect();
    most.sort_by_key(|&i| std::cmp::Reverse(graph.neighbours[i].len()));
    for i in most.into_iter().take(5) {
        let looks = weights[4 * i..][..4].iter().zip(&keys[4 * i..]);
        let looks = looks.filter(|&(_, &key)| key != u32::MAX && key != i as u32).take(3);
        let looks: Vec<_> =
            looks.map(|(weight, &key)| format!("{} {:.1} %", graph.name(key as usize), 100.0 * weight)).collect();
        println!("  {:<14} with {:>3} neighbours: {}", graph.name(i), graph.neighbours[i].len(), looks.join(", "));
    }
    Ok(())
}

fn shape(len: u32) -> Shape {
    Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: len, kv_len: len, head_dim: DIM as u32, value_dim: DIM as u32 }
}

/// How sharply papers choose among their neighbours.
const FOCUS: f32 = 12.0;

/// A citation graph.
struct Graph {
    field: Vec<usize>,
    neighbours: Vec<BTreeSet<u32>>,
}

impl Graph {
    /// Papers lie field by field, each field in the order of its years: neighbours lie near each other, and share blocks.
    fn new(papers: u32, cites: u32) -> Self {
        let mut rng = fastrand::Rng::with_seed(11);
        let field: Vec<_> = (0..papers as usize).map(|i| i * FIELDS.len() / papers as usize).collect();
        let mut neighbours: Vec<_> = (0..papers).map(|i| BTreeSet::from([i])).collect();
        let first: Vec<u32> =
            (0..FIELDS.len()).map(|f| field.iter().position(|&of| of == f).unwrap_or(0) as u32).collect();
        // Each citation once more for each time it was cited: what is cited is cited again.
        let mut cited: Vec<Vec<u32>> = vec![vec![]; FIELDS.len()];
        for i in 0..papers {
            let own = field[i as usize];
            for _ in 0..cites {
                let f = if rng.u32(..100) == 0 { rng.usize(..=own) } else { own };
                let old = if f == own { first[f]..i } else { first[f]..first[f + 1] };
                let paper = match rng.bool() {
                    true if !cited[f].is_empty() => cited[f][rng.usize(..cited[f].len())],
                    _ if !old.is_empty() => rng.u32(old),
                    _ => continue,
                };
                cited[f].push(paper);
                neighbours[i as usize].insert(paper);
                neighbours[paper as usize].insert(i);
            }
        }
        Self { field, neighbours }
    }

    fn name(&self, paper: usize) -> String {
        let field = self.field[paper];
        let first = self.field.iter().position(|&of| of == field).unwrap_or(0);
        format!("{} {}", FIELDS[field], paper - first + 1)
    }

    /// What a paper is about: its field, and something of its own. Each has length 1.
    fn features(&self) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(12);
        let mut direction = || -> Vec<f32> { (0..DIM).map(|_| 2.0 * rng.f32() - 1.0).collect() };
        let fields = FIELDS.map(|_| direction());
        let about = |&field: &usize| {
            let x: Vec<_> = fields[field].iter().zip(direction()).map(|(f, own)| f + own).collect();
            let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
            x.into_iter().map(move |x| x / norm)
        };
        self.field.iter().flat_map(about).collect()
    }

    /// Every row against the oracle, to which the neighbours are all the keys there are. The largest error.
    fn check(&self, x: &[f32], outputs: &Outputs<f32>) -> Result<f64> {
        let mut worst: f64 = 0.0;
        for (i, seen) in self.neighbours.iter().enumerate() {
            let near: Vec<_> = seen.iter().flat_map(|&j| &x[j as usize * DIM..][..DIM]).copied().collect();
            let row = i * DIM..(i + 1) * DIM;
            let spec = Spec::new(Shape { q_len: 1, kv_len: seen.len() as u32, ..shape(1) }).scale(FOCUS);
            let inputs = Inputs::new(&x[row.clone()], &near, &near);
            let margins = reference::check(&spec, &inputs, &Outputs::of(outputs.out()[row].to_vec()))?;
            worst = margins.iter().map(|margin| margin.error).fold(worst, f64::max);
        }
        Ok(worst)
    }
}

/// The time until the first result is there, with planning, compilation and upload; and the least time of the runs after it.
fn time(gpu: &Gpu, spec: &Spec, inputs: &Inputs<'_>) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    let plan = gpu.attention().plan(spec)?;
    let mut buffers = Vec::new();
    for view in plan.views() {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let (label, size) = (Some(view.tensor.name()), view.bytes()?);
        let buffer =
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        if let Some(data) = inputs.get(view.tensor) {
            gpu.queue().write_buffer(&buffer, 0, &bytes(data));
        }
        buffers.push((view.tensor, buffer));
    }
    let bindings = buffers.iter().fold(Bindings::new(), |all, (tensor, buffer)| all.set(*tensor, buffer.slice(..)));
    let bound = plan.bind(&bindings)?;
    let run = || -> Result<Duration> {
        let start = Instant::now();
        // Step by step, so that no watchdog bites.
        for step in 0..bound.steps() {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            bound.encode_steps(&mut encoder, step..step + 1)?;
            gpu.queue().submit([encoder.finish()]);
        }
        gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
        Ok(start.elapsed())
    };
    run()?;
    let first = start.elapsed();
    let (start, mut least) = (Instant::now(), Duration::MAX);
    while least == Duration::MAX || start.elapsed() < Duration::from_secs(2) {
        least = least.min(run()?);
    }
    Ok((first, least))
}

/// Whole words of f32, u32 or bits.
fn bytes(data: Data<'_>) -> Vec<u8> {
    let bit = |bits: &[bool]| bits.iter().rev().fold(0_u32, |word, &bit| word << 1 | u32::from(bit));
    match data {
        Data::Floats(data) => bytemuck::cast_slice(data).to_vec(),
        Data::Words(data) => bytemuck::cast_slice(data).to_vec(),
        Data::Bools(data) => data.chunks(32).flat_map(|bits| bit(bits).to_le_bytes()).collect(),
        _ => Vec::new(),
    }
}

/// Time against the share of blocks kept: whole blocks, and blocks of which half the pairs are seen.
fn shares(gpu: &Gpu) -> Result<()> {
    const LEN: u32 = 16384;
    let mut rng = fastrand::Rng::with_seed(13);
    let x: Vec<f32> = (0..LEN as usize * DIM).map(|_| 2.0 * rng.f32() - 1.0).collect();
    let (spec, inputs) = (Spec::new(shape(LEN)), Inputs::new(&x, &x, &x));
    println!("{LEN} x {LEN}, head_dim {DIM}, blocks of 64; compilation not counted");
    device::say_compiling();
    println!("| share kept | no mask, ms | whole blocks, ms | half of each block, ms | whole, half: mask, KiB |");
    for percent in [0, 1, 5, 25, 100] {
        // Beside each other, as other work comes and goes.
        let mut line = format!("| {percent} % | {:.0} |", ms(time(gpu, &spec, &inputs)?.1));
        let mut sizes = Vec::new();
        for seen in [Seen::All, Seen::Some] {
            let drawn: Vec<_> = (0..(LEN / 64).pow(2)).map(|_| rng.u32(..100) < percent).collect();
            let look = |rows: Range<u32>, keys: Range<u32>| {
                if drawn[(rows.start / 64 * (LEN / 64) + keys.start / 64) as usize] { seen } else { Seen::None }
            };
            let mask = BlockMask::of_blocks([LEN; 2], 64, look, |i, j| (i + j).is_multiple_of(2))?;
            let spec = spec.clone().block_mask(mask.form());
            line += &format!(" {:.1} |", ms(time(gpu, &spec, &inputs.block_mask(mask.words()))?.1));
            sizes.push((4 * mask.words().len() / 1024).to_string());
        }
        println!("{line} {} |", sizes.join(", "));
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}
