//! A decoder loop over a cache: a prompt at once, then token by token, and how many of them a second.
//!
//! `cargo run --release --example decode -- --tokens 64`
//!
//! The model is a made-up one in the form of current decoder models, with random weights: grouped-query attention with rotary embedding and a
//! cache, pre-norm, feed-forward. The tokens it makes mean nothing: this measures speed. Each token is one submission; the host reads the
//! logits and picks the next. Compilation is timed apart.

#[path = "support/device.rs"]
mod device;

use std::{error::Error, io::IsTerminal, process::ExitCode, time::Instant};

use clap::Parser;
use indicatif::ProgressBar;
use wgpu_attention::{
    Activation, Angles, DType, Gpu, Pairs, Rotary,
    nn::{
        Embedding, FeedForward, Graph, GroupedHeads, GroupedQueryAttention, LayerNorm, Linear, Model, Node, StateDict,
    },
    wgpu,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures how fast a decoder with random weights makes tokens over a cache.
#[derive(Parser)]
struct Options {
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    prompt: u32,
    /// Tokens to make.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    tokens: u32,
    /// Layers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    layers: u32,
}

const VOCABULARY: u32 = 512;
const WIDE: u32 = 768;
const HEADS: GroupedHeads = GroupedHeads { embed_dim: 256, heads: 8, kv_heads: 2, head_dim: 32 };

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decode: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let gpu = Gpu::new()?;
    device::print_device(gpu.device());
    let capacity = options.prompt + options.tokens;
    let mut rng = fastrand::Rng::with_seed(1);
    let prompt: Vec<u32> = (0..options.prompt).map(|_| rng.u32(..VOCABULARY)).collect();
    device::say_compiling();
    let start = Instant::now();
    let model = Loop::new(&gpu, options, capacity)?;
    // Some drivers compile at the first use: once through both sections. What this leaves in the cache is overwritten.
    let token = model.step(&gpu, true, &prompt, 0)?;
    model.step(&gpu, false, &[token], options.prompt)?;
    println!("compiled    in {:.1} s, not counted below", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let mut token = model.step(&gpu, true, &prompt, 0)?;
    println!("prompt      {} tokens in {:.1?}", options.prompt, start.elapsed());

    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(options.tokens.into()) } else { ProgressBar::hidden() };
    let (start, mut said) = (Instant::now(), Vec::new());
    for n in 0..options.tokens {
        said.push(token);
        token = model.step(&gpu, false, &[token], options.prompt + n)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let rate = f64::from(options.tokens) / start.elapsed().as_secs_f64();
    println!("decode      {rate:.1} tokens a second: {} layers, width {}", options.layers, HEADS.embed_dim);
    println!(
        "memory      {:.1} MiB, weights and a cache for {capacity} tokens included",
        model.model.bytes() as f64 / 1048576.0
    );
    println!("tokens      {:?} ...", &said[..said.len().min(12)]);
    println!("            the weights are random, so these ids mean nothing: this example measures speed");
    Ok(())
}

/// A section of the graph: steps, tokens in, logits out.
struct Section {
    steps: std::ops::Range<usize>,
    ids: Node,
    logits: Node,
}

/// Two sections over one cache: the prompt, and one token.
struct Loop {
    model: Model,
    lens: Vec<Node>,
    sections: [Section; 2],
}

impl Loop {
    fn new(gpu: &Gpu, options: &Options, capacity: u32) -> Result<Self> {
        let state = state(options.layers);
        let tensors = state.iter().map(|(name, shape, data)| (name.as_str(), shape.as_slice(), data.as_slice()));
        let mut weights = StateDict::of(gpu.attention(), tensors)?;
        let rotary =
            Rotary { dim: HEADS.head_dim, pairs: Pairs::Halves, angles: Angles::Appended { positions: capacity } };
        let embedding = Embedding::load(&mut weights, "embedding", VOCABULARY, HEADS.embed_dim)?;
        let head = Linear::load(&mut weights, "head", VOCABULARY, HEADS.embed_dim)?;
        let mut layers = Vec::new();
        for n in 0..options.layers {
            let name = |part: &str| format!("layers.{n}.{part}");
            let attention = GroupedQueryAttention::load(&mut weights, &name(""), HEADS, rotary)?;
            let up = Linear::load(&mut weights, &name("up"), WIDE, HEADS.embed_dim)?;
            let down = Linear::load(&mut weights, &name("down"), HEADS.embed_dim, WIDE)?;
            let mut norm = |part: &str| LayerNorm::load(&mut weights, &name(part), HEADS.embed_dim, 1e-5);
            let norms = [norm("norm1")?, norm("norm2")?];
            layers.push((attention, FeedForward { up, down, activation: Activation::Silu }, norms));
        }
        weights.finish()?;

        let mut graph = Graph::new(gpu.attention());
        let tables = rotary.tables(capacity, 10000.0);
        let angles = tables.each_ref().map(|table| graph.constant(capacity, HEADS.head_dim / 2, DType::F32, table));
        let caches: Vec<_> = layers.iter().map(|(attention, ..)| attention.cache(&mut graph, [1, capacity])).collect();
        let mut section = |len: u32| -> Result<Section> {
            let (first, ids) = (graph.steps(), graph.input(1, len, DType::U32));
            let mut x = embedding.forward(&mut graph, ids, len);
            for ((attention, feed_forward, [one, two]), cache) in layers.iter().zip(&caches) {
                let y = one.forward(&mut graph, x)?;
                x = attention.forward(&mut graph, y, (cache, angles), Some(x))?;
                let y = two.forward(&mut graph, x)?;
                x = feed_forward.forward(&mut graph, y, Some(x))?;
            }
            let logits = head.forward(&mut graph, x, Activation::None, None)?;
            Ok(Section { steps: first..graph.steps(), ids, logits: graph.keep(logits) })
        };
        let sections = [section(options.prompt)?, section(1)?];
        Ok(Self { model: graph.compile()?, lens: caches.iter().map(|cache| cache.lens).collect(), sections })
    }

    /// The likeliest token after these, before which the cache holds `done`.
    fn step(&self, gpu: &Gpu, prompt: bool, tokens: &[u32], done: u32) -> Result<u32> {
        let Section { steps, ids, logits } = &self.sections[usize::from(!prompt)];
        gpu.queue().write_buffer(self.model.buffer(*ids)?, 0, bytemuck::cast_slice(tokens));
        for lens in &self.lens {
            gpu.queue().write_buffer(self.model.buffer(*lens)?, 0, bytemuck::bytes_of(&done));
        }
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.model.encode_steps(&mut encoder, steps.clone())?;
        gpu.queue().submit([encoder.finish()]);
        let logits: Vec<f32> = gpu.read(self.model.buffer(*logits)?)?;
        let last = &logits[logits.len() - VOCABULARY as usize..];
        Ok((0..).zip(last).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(token, _)| token))
    }
}

/// Random weights.
fn state(layers: u32) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut state = Vec::new();
    let mut add = |name: String, shape: &[u32], middle: f32| {
        let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
        let reach = 1.7 / (*shape.last().unwrap_or(&1) as f32).sqrt();
        let data = (0..shape.iter().product()).map(|_| middle + reach * (2.0 * rng.f32() - 1.0)).collect();
        state.push((name, shape, data));
    };
    let GroupedHeads { embed_dim, heads, kv_heads, head_dim } = HEADS;
    add("embedding.weight".into(), &[VOCABULARY, embed_dim], 0.0);
    add("head.weight".into(), &[VOCABULARY, embed_dim], 0.0);
    for n in 0..layers {
        for (name, shape) in [
            ("q_proj", [heads * head_dim, embed_dim]),
            ("k_proj", [kv_heads * head_dim, embed_dim]),
            ("v_proj", [kv_heads * head_dim, embed_dim]),
            ("o_proj", [embed_dim, heads * head_dim]),
            ("up", [WIDE, embed_dim]),
            ("down", [embed_dim, WIDE]),
        ] {
            add(format!("layers.{n}.{name}.weight"), &shape, 0.0);
        }
        for norm in ["norm1", "norm2"] {
            add(format!("layers.{n}.{norm}.weight"), &[embed_dim], 1.0);
            add(format!("layers.{n}.{norm}.bias"), &[embed_dim], 0.0);
        }
    }
    state
}
