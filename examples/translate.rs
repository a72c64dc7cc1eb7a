//! Translates English to French with a small trained transformer, and shows which words look at which.
//!
//! `cargo run --release --example translate -- "the small cat does not see the black dog ."`
//!
//! Every step of every layer runs on the device, a token in one submission; the host picks the likeliest word. translate/train.py made the
//! weights, from sentences of a small grammar: it knows those words and no others. One head of the last layer was taught where
//! words come from (Garg et al. 2019), so its weights over the source read as an alignment, and most of them are close to 1.

#[path = "support/device.rs"]
mod device;
#[path = "support/files.rs"]
mod files;

use std::{
    error::Error,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use safetensors::SafeTensors;
use wgpu_attention::{
    Gpu,
    inspect::plot::{Figure, HeatMap},
    nn::{LayerConfig, StateDict, Transformer, TransformerConfig},
    wgpu,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Made by translate/train.py.
const FILE: &[u8] = include_bytes!("data/translate.safetensors");

/// Most words of a translation, and of a sentence.
const MOST: u32 = 40;

/// What stands before and after a translation, by its place in the list of words.
const START: u32 = 1;
const END: u32 = 2;

/// The head that was taught where words come from.
const HEAD: &str = "decoder layer 1, cross-attention head 0";

/// Translates from English to French.
#[derive(Parser)]
struct Options {
    /// A sentence of words that the model knows.
    #[arg(default_value = "the small cat does not see the black dog .")]
    sentence: String,
    /// The alignment as a picture.
    #[arg(long, value_name = "FILE", default_value = "target/translate.svg")]
    out: PathBuf,
    /// Lists the words that the model knows.
    #[arg(long)]
    words: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("translate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let [english, french] = [words("source")?, words("target")?];
    if options.words {
        println!("{}", english[4..].join(" "));
        return Ok(());
    }
    let (source, ids) = read(&options.sentence, &english)?;
    let gpu = Gpu::new()?;
    let Translation { target, weights, compiled, rate } = translate(&gpu, &ids, [&english, &french])?;
    println!("english     {}", source.join(" "));
    println!("french      {}", target.join(" ").replace("' ", "'"));
    device::print_device(gpu.device());
    println!(
        "time        compiled in {:.1} s, the first word included; then {rate:.1} words a second",
        compiled.as_secs_f64()
    );
    println!("model       tiny: it knows {} English words, and sentences of one small grammar", english.len() - 4);
    println!("\nwhere each word comes from, by the largest weight of {HEAD}");
    println!("(this head was trained on which word translates which, so its weights come close to 1):");
    for (word, weights) in target.iter().zip(weights.chunks(ids.len())) {
        let most = (0..).zip(weights).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _): (usize, _)| at);
        println!("  {word:<14} {:<12} {:.2}", source[most], weights[most]);
    }
    let map = HeatMap::new(&target, &source, &weights)?.title(HEAD);
    files::write(&options.out, Figure::new(&options.sentence, &[map.into()], 1)?.svg().as_bytes())?;
    println!("\npicture     {}", options.out.display());
    Ok(())
}

/// The words of a sentence, and their places in the list of words.
fn read(sentence: &str, english: &[String]) -> Result<(Vec<String>, Vec<u32>)> {
    let source: Vec<String> = sentence.to_lowercase().replace('.', " .").split_whitespace().map(Into::into).collect();
    let id = |word: &String| {
        let known = english.iter().position(|known| known == word).map(|id| id as u32);
        known.ok_or_else(|| format!("the model does not know {word:?}; --words lists what it knows"))
    };
    let ids = source.iter().map(id).collect::<std::result::Result<Vec<_>, _>>()?;
    if ids.is_empty() || ids.len() > MOST as usize {
        return Err(format!("the sentence has {} words, the model takes from 1 to {MOST}", ids.len()).into());
    }
    Ok((source, ids))
}

struct Translation {
    target: Vec<String>,
    /// Of the head that was taught, `[target, source]`.
    weights: Vec<f32>,
    /// Until the first word was there.
    compiled: Duration,
    /// Words a second after the first.
    rate: f64,
}

fn translate(gpu: &Gpu, ids: &[u32], [english, french]: [&[String]; 2]) -> Result<Translation> {
    device::say_compiling();
    let start = Instant::now();
    let model = load(gpu, [english.len(), french.len()].map(|count| count as u32))?;
    let mut generation = model.generation(gpu.attention(), [ids.len() as u32, MOST])?;
    submit(gpu, |encoder| generation.start(gpu.queue(), encoder, ids))?;
    let (mut token, mut target, mut weights) = (START, Vec::new(), Vec::new());
    // Some drivers compile at the first use: the first word does not count.
    let mut compiled = None;
    let mut steps = 0;
    while target.len() < MOST as usize {
        submit(gpu, |encoder| generation.next(gpu.queue(), encoder, token))?;
        let logits: Vec<f32> = gpu.read(generation.logits())?;
        let likeliest = (0..).zip(&logits).max_by(|a, b| a.1.total_cmp(b.1));
        token = likeliest.map_or(END, |(id, _)| id);
        steps += 1;
        compiled.get_or_insert_with(|| start.elapsed());
        if token == END {
            break;
        }
        target.push(french[token as usize].clone());
        // The head that was taught is the first.
        let last = *generation.weights().last().ok_or("the decoder has no layer")?;
        weights.extend_from_slice(&gpu.read::<f32>(last)?[..ids.len()]);
    }
    let compiled = compiled.unwrap_or_default();
    let rate = f64::from(steps - 1) / (start.elapsed() - compiled).as_secs_f64().max(1e-9);
    Ok(Translation { target, weights, compiled, rate })
}

/// The list of words that the file holds under a key.
fn words(key: &str) -> Result<Vec<String>> {
    let (_, header) = SafeTensors::read_metadata(FILE)?;
    let list = header.metadata().as_ref().and_then(|metadata| metadata.get(key)).ok_or("the file has no words")?;
    Ok(serde_json::from_str(list)?)
}

fn load(gpu: &Gpu, [source_vocabulary, target_vocabulary]: [u32; 2]) -> Result<Transformer> {
    let mut weights = StateDict::of_file(gpu.attention(), FILE)?;
    let (layer, positions) = (LayerConfig::new(64, 4, 128), MOST);
    let config = TransformerConfig {
        layer,
        encoder_layers: 2,
        decoder_layers: 2,
        source_vocabulary,
        target_vocabulary,
        positions,
    };
    let model = Transformer::load(&mut weights, "", &config)?;
    weights.finish()?;
    Ok(model)
}

fn submit(
    gpu: &Gpu,
    record: impl FnOnce(&mut wgpu::CommandEncoder) -> std::result::Result<(), wgpu_attention::Error>,
) -> Result<()> {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    record(&mut encoder)?;
    gpu.queue().submit([encoder.finish()]);
    Ok(())
}
