//! Where a published language model looks: heat maps of every layer and head, and a page to explore them.
//!
//! `cargo run --release --example heatmap -- --model DIR --text "The bank of the river was steep." --out DIR`
//!
//! DIR is a BERT, RoBERTa, XLM-RoBERTa or DistilBERT checkpoint as published: config.json, tokenizer.json, model.safetensors. Written
//! are index.html, a picture of each layer, stats.json and weights.safetensors: `weights [layers, heads, tokens, tokens]` and
//! `last_hidden_state [tokens, hidden]`, f32. `--without-special` leaves [CLS], [SEP] and their like out of the pictures and of the page,
//! where many heads look when nothing else fits, so that the weights between words can be told apart.

#[path = "support/checkpoint.rs"]
mod checkpoint;
#[path = "../support/device.rs"]
mod device;
#[path = "../support/files.rs"]
mod files;
#[path = "support/gallery.rs"]
mod gallery;
#[path = "support/published.rs"]
mod published;
#[path = "support/text_model.rs"]
mod text_model;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use checkpoint::Checkpoint;
use clap::Parser;
use gallery::Gallery;
use published::Answer;
use serde_json::json;
use text_model::TextModel;
use wgpu_attention::Gpu;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Draws where a language model looks.
#[derive(Parser)]
struct Options {
    /// A folder with config.json, tokenizer.json and model.safetensors.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// What the model reads.
    #[arg(long, default_value = "The animal didn't cross the street because it was too tired.")]
    text: String,
    /// Where everything is written.
    #[arg(long, value_name = "DIR", default_value = "target/heatmap")]
    out: PathBuf,
    /// Leaves out special tokens, such as [CLS] and [SEP], in the pictures and at first in the page; other weights stay as they are.
    #[arg(long)]
    without_special: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heatmap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let checkpoint = Checkpoint::open(&options.model)?;
    let gpu = Gpu::new()?;
    device::print_device(gpu.device());
    device::say_compiling();
    let model = TextModel::read(&checkpoint, gpu.attention())?;
    let (ids, tokens) = model.tokenise(&options.model, &options.text)?;
    let ready = model.prepare(&gpu, &ids)?;
    ready.run(&gpu)?; // what a first run costs beside is not the model's
    let start = Instant::now();
    let hidden = ready.run(&gpu)?;
    let took = start.elapsed();
    let layers = ready.seen(&gpu)?;
    println!("forward     {took:.1?}: {} dispatches, one submission, all weights and measures", ready.dispatches());
    println!("model       {}: {} layers, {} heads", model.kind, layers.len(), model.layers.heads);
    println!("tokens      {}", tokens.join(" "));
    let answer = model.classify(&checkpoint, &hidden)?;
    if let Some(Answer { label, probability }) = &answer {
        println!("label       {label} ({probability:.3})");
    }
    let facts = json!({
        "text": options.text,
        "model_type": model.kind,
        "label": answer.as_ref().map(|answer| &answer.label),
        "probability": answer.as_ref().map(|answer| answer.probability),
    });
    gallery::tell(&layers);
    let gallery = Gallery {
        title: &options.text,
        note: &answer.map_or_else(String::new, |answer| format!("label: {} ({:.3})", answer.label, answer.probability)),
        tokens: &tokens,
        layers: &layers,
        heads: &[],
        hidden: &hidden,
        picture: None,
        query: 0,
        facts,
        without_special: options.without_special,
        out: &options.out,
    };
    gallery.write()
}
