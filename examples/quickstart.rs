//! Attention on a real sentence: where do its words look?
//!
//! `cargo run --release --example quickstart`
//!
//! Takes the queries, keys and values that a pretrained model computed for one sentence, runs every layer and head through
//! the GPU, compares with the CPU reference, says in which heads words look hardest at others, and draws two of those heads.
//! Without a GPU it says how to get an adapter and does the same on the CPU.

#[path = "support/device.rs"]
mod device;
#[path = "support/files.rs"]
mod files;
#[path = "support/sentence.rs"]
mod sentence;

use std::{
    collections::HashSet,
    hash::Hash,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use sentence::Sentence;
use wgpu_attention::{
    Error, Gpu, Outputs, Spec, Tensor,
    inspect::plot::{Figure, HeatMap, is_special},
    reference::{self, Margin},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// q, k and v of all-MiniLM-L6-v2, see data/README.md.
const FILE: &[u8] = include_bytes!("data/minilm_sentence.safetensors");

/// How many heads are drawn.
const DRAWN: usize = 2;

/// Runs attention over one sentence and shows where its words look.
#[derive(Parser)]
struct Options {
    /// The picture.
    #[arg(long, value_name = "FILE", default_value = "target/quickstart.svg")]
    out: PathBuf,
    /// The word of the sentence whose heads are drawn.
    #[arg(long, default_value = "it")]
    word: String,
}

fn main() -> ExitCode {
    match run(&Options::parse(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that closes the pipe early, such as `head`, has what it wanted.
        Err(error) if error.downcast_ref().is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, out: &mut dyn Write) -> Result<()> {
    let sentence = Sentence::parse(FILE)?;
    let word = find(&sentence, &options.word)?;
    writeln!(out, "sentence    {:?}", sentence.text)?;
    writeln!(out, "q, k, v     as all-MiniLM-L6-v2 computed them: {}\n", sizes(&sentence))?;
    let weights = match Gpu::new() {
        Ok(gpu) => on_gpu(&gpu, &sentence, out)?,
        Err(error @ Error::NoAdapter { .. }) => {
            writeln!(out, "{error}\n")?;
            on_cpu(&sentence, out)?
        }
        Err(error) => return Err(error.into()),
    };
    let looks = chosen(&sentence, &looks(&sentence, &weights), word);
    tell(&sentence, &looks, out)?;
    draw(&sentence, &weights, &looks, &options.out)?;
    writeln!(out, "\npicture     {} shows the heads marked *", options.out.display())?;
    Ok(())
}

fn sizes(sentence: &Sentence) -> String {
    let spec = sentence.spec();
    let shape = spec.shape();
    format!("{} layers, {} heads, {} tokens, head_dim {}", sentence.layers, shape.q_heads, shape.q_len, shape.head_dim)
}

/// The weights of each layer, `[heads, tokens, tokens]`.
type Weights = Vec<Vec<f32>>;

/// Fused, where the weights never exist, and in stages, which write them for those who want to see them.
fn on_gpu(gpu: &Gpu, sentence: &Sentence, out: &mut dyn Write) -> Result<Weights> {
    let (fused, weighed) = (sentence.spec(), sentence.spec().weights());
    device::warn_of(gpu.device());
    device::say_compiling();
    let (_, first) = every_layer(gpu, sentence, &fused)?;
    let (outputs, again) = every_layer(gpu, sentence, &fused)?;
    let (seen, _) = every_layer(gpu, sentence, &weighed)?;
    let (fused_error, weighed_error) = (compare(sentence, &fused, &outputs)?, compare(sentence, &weighed, &seen)?);

    writeln!(out, "{}", gpu.attention().plan(&fused)?.explain())?;
    writeln!(
        out,
        "time        {first:.1?} with compilation, then {again:.1?}: all layers, upload and read-back included"
    )?;
    let errors: Vec<_> = fused_error.iter().chain(&weighed_error[1..]).map(ToString::to_string).collect();
    writeln!(out, "error       {}: against the f64 reference on the CPU", errors.join(", "))?;
    writeln!(
        out,
        "weights     by a second plan ({}), which writes what the first never holds\n",
        gpu.attention().plan(&weighed)?.kernels().collect::<Vec<_>>().join(", then ")
    )?;
    Ok(seen.into_iter().filter_map(|mut layer| layer.take(Tensor::Weights)).collect())
}

/// One spec is one plan: compiled for the first layer, reused for the others.
fn every_layer(gpu: &Gpu, sentence: &Sentence, spec: &Spec) -> Result<(Vec<Outputs<f32>>, Duration)> {
    let start = Instant::now();
    let run = |layer| Ok(gpu.run(spec, &sentence.layer(layer))?);
    let outputs = (0..sentence.layers).map(run).collect::<Result<_>>()?;
    Ok((outputs, start.elapsed()))
}

fn on_cpu(sentence: &Sentence, out: &mut dyn Write) -> Result<Weights> {
    let (start, spec) = (Instant::now(), sentence.spec().weights());
    let exact = (0..sentence.layers)
        .filter_map(|layer| reference::attention(&spec, &sentence.layer(layer)).take(Tensor::Weights));
    let weights = exact.map(|layer| layer.iter().map(|&weight| weight as f32).collect()).collect();
    writeln!(out, "time        {:.1?} on the CPU, by the f64 reference that checks the GPU\n", start.elapsed())?;
    Ok(weights)
}

/// The layer whose largest error is the largest, output by output; or what is wrong.
fn compare(sentence: &Sentence, spec: &Spec, outputs: &[Outputs<f32>]) -> Result<Vec<Margin>> {
    let mut worst: Vec<Margin> = Vec::new();
    for (layer, outputs) in outputs.iter().enumerate() {
        let margins = reference::check(spec, &sentence.layer(layer), outputs);
        let margins = margins.map_err(|wrong| format!("the GPU is wrong in layer {layer}: {wrong}"))?;
        if worst.is_empty() {
            worst.clone_from(&margins);
        }
        for (worst, margin) in worst.iter_mut().zip(margins) {
            if margin.error > worst.error {
                *worst = margin;
            }
        }
    }
    Ok(worst)
}

/// What one word thinks of another, in one head.
#[derive(Clone, Copy)]
struct Look {
    query: usize,
    key: usize,
    layer: usize,
    head: usize,
    weight: f32,
}

/// Every look from word to word, hardest first. Left out: tokens that are no words (`[CLS]`, punctuation), and neighbours,
/// which some heads look at whatever they are.
fn looks(sentence: &Sentence, weights: &Weights) -> Vec<Look> {
    let len = sentence.tokens.len();
    let mut looks = Vec::new();
    for (layer, weights) in weights.iter().enumerate() {
        for (index, &weight) in weights.iter().enumerate() {
            let (head, query, key) = (index / (len * len), index / len % len, index % len);
            let different = sentence.tokens[query] != sentence.tokens[key];
            if different && query.abs_diff(key) > 1 && [query, key].iter().all(|&i| is_word(&sentence.tokens[i])) {
                looks.push(Look { query, key, layer, head, weight });
            }
        }
    }
    looks.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    looks
}

fn is_word(token: &str) -> bool {
    token.len() > 1 && token.chars().all(char::is_alphabetic)
}

fn find(sentence: &Sentence, word: &str) -> Result<usize> {
    let found = sentence.tokens.iter().position(|token| is_word(token) && token.eq_ignore_ascii_case(word));
    let words = || sentence.tokens.iter().filter(|token| is_word(token)).cloned().collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there is no word {word:?}; there are: {}", words()).into())
}

/// The hardest look of each group.
fn hardest<K: Eq + Hash>(looks: &[Look], group: impl Fn(&Look) -> K) -> Vec<Look> {
    let mut met = HashSet::new();
    looks.iter().copied().filter(|look| met.insert(group(look))).collect()
}

/// What is told: two looks of the word, which are drawn, then one look of some other words.
fn chosen(sentence: &Sentence, looks: &[Look], word: usize) -> Vec<Look> {
    let (own, others): (Vec<Look>, Vec<Look>) = looks.iter().partition(|look| look.query == word);
    let own = hardest(&own, |look| sentence.tokens[look.key].clone());
    let others = hardest(&others, |look| sentence.tokens[look.query].clone());
    own.into_iter().take(DRAWN).chain(others.into_iter().take(4)).collect()
}

fn tell(sentence: &Sentence, looks: &[Look], out: &mut dyn Write) -> Result<()> {
    writeln!(out, "where words look hardest, of all heads; neighbours do not count:")?;
    for (index, look) in looks.iter().enumerate() {
        let [query, key] = [look.query, look.key].map(|token| &sentence.tokens[token]);
        let mark = if index < DRAWN { '*' } else { ' ' };
        writeln!(out, "  {mark} {query:<7} -> {key:<7}  {:.2}  layer {}, head {}", look.weight, look.layer, look.head)?;
    }
    Ok(())
}

fn draw(sentence: &Sentence, weights: &Weights, looks: &[Look], file: &Path) -> Result<()> {
    let title = |look: &Look| {
        let [query, key] = [look.query, look.key].map(|token| &sentence.tokens[token]);
        format!("layer {}, head {}: {query} looks at {key}", look.layer, look.head)
    };
    let map = |look: &Look| {
        let weights = &weights[look.layer][sentence.head(look.head)];
        // Nearly every word looks at [CLS] too, which would dim all else.
        let map = HeatMap::new(&sentence.tokens, &sentence.tokens, weights)?.without(is_special);
        Ok(map.title(title(look)).into())
    };
    let panels = looks.iter().take(DRAWN).map(map).collect::<Result<Vec<_>>>()?;
    files::write(file, Figure::new(&sentence.text, &panels, DRAWN)?.svg().as_bytes())
}
