//! Where an image model looks: what one token sees of a picture, in every layer and head, and a page to explore it.
//!
//! `cargo run --release --example image_attention -- --out DIR`
//! `cargo run --release --example image_attention -- --model DIR --image cat.jpg --out DIR`
//!
//! The model is a ViT or DeiT checkpoint as published: config.json, model.safetensors and, if there is one,
//! preprocessor_config.json. Without a model, descriptors of the patches serve as queries and keys, which the picture says:
//! one head compares colours, one edges, one places.

#[path = "support/checkpoint.rs"]
mod checkpoint;
#[path = "../support/device.rs"]
mod device;
#[path = "../support/files.rs"]
mod files;
#[path = "support/gallery.rs"]
mod gallery;
#[path = "support/image_model.rs"]
mod image_model;
#[path = "support/patches.rs"]
mod patches;
#[path = "support/published.rs"]
mod published;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use checkpoint::Checkpoint;
use clap::Parser;
use gallery::Gallery;
use image_model::ImageModel;
use patches::{Preparation, Tiles};
use published::{Answer, Seen};
use serde_json::json;
use wgpu_attention::{
    Gpu, Grid, Inputs, Measures, Order, Shape, Spec, Tensor,
    inspect::{self, PatchRegions},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A cat, see data/README.md.
const CAT: &[u8] = include_bytes!("../data/cat.jpg");

/// Draws where an image model looks.
#[derive(Parser)]
struct Options {
    /// A ViT or DeiT folder with config.json and model.safetensors; without, patches are compared by colour, edges and place.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A JPEG or PNG file; without, a cat.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The patch whose view is drawn, as column,row; without, the class token's, or a patch of the cat's without a model.
    #[arg(long, value_name = "X,Y", value_parser = patch)]
    patch: Option<[u32; 2]>,
    /// Where everything is written.
    #[arg(long, value_name = "DIR", default_value = "target/image_attention")]
    out: PathBuf,
}

fn patch(text: &str) -> std::result::Result<[u32; 2], String> {
    let number = |part: &str| part.trim().parse().map_err(|_| format!("{text:?} is not two numbers, as 7,5"));
    let (x, y) = text.split_once(',').unwrap_or((text, ""));
    Ok([number(x)?, number(y)?])
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image_attention: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let (name, file) = match &options.image {
        Some(path) => {
            let file = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            (path.display().to_string(), file)
        }
        None => ("a cat".into(), CAT.into()),
    };
    let gpu = Gpu::new()?;
    device::print_device(gpu.device());
    device::say_compiling();
    match &options.model {
        Some(folder) => by_model(&gpu, options, folder, (&name, &file)),
        None => by_descriptors(&gpu, options, (&name, &file)),
    }
}

fn by_model(gpu: &Gpu, options: &Options, folder: &Path, (name, file): (&str, &[u8])) -> Result<()> {
    let checkpoint = Checkpoint::open(folder)?;
    let model = ImageModel::read(&checkpoint, gpu.attention())?;
    let preparation = Preparation::read(folder, model.side)?;
    let picture = preparation.picture(file)?;
    let tiles = Tiles::new(&picture, model.patch);
    let ready = model.prepare(gpu, &checkpoint, &tiles, &preparation)?;
    let hidden = ready.run(gpu)?;
    let layers = ready.seen(gpu)?;
    println!("model       {}: {} layers, {} heads", model.kind, layers.len(), model.layers.heads);
    let answer = model.classify(&checkpoint, &hidden)?;
    let note = answer.as_ref().map_or_else(String::new, |Answer { label, probability }| {
        println!("label       {label} ({probability:.3})");
        format!("label: {label} ({probability:.3})")
    });
    gallery::tell(&layers);
    let grid = tiles.grid().after(model.specials.len() as u32);
    let gallery = Gallery {
        title: name,
        note: &note,
        tokens: &names(&model.specials, grid),
        layers: &layers,
        heads: &[],
        hidden: &hidden,
        picture: Some((&patches::png(&picture)?, grid)),
        query: query(options.patch, grid)?.unwrap_or(0),
        facts: json!({
            "image": name,
            "model_type": model.kind,
            "label": answer.as_ref().map(|answer| &answer.label),
            "probability": answer.as_ref().map(|answer| answer.probability),
        }),
        without_special: false,
        out: &options.out,
    };
    gallery.write()
}

fn by_descriptors(gpu: &Gpu, options: &Options, (name, file): (&str, &[u8])) -> Result<()> {
    let picture = Preparation::default().picture(file)?;
    let tiles = Tiles::new(&picture, 16);
    let [q, k] = tiles.descriptors();
    let grid = tiles.grid();
    let [columns, rows] = grid.size();
    let kinds = [
        None,
        Some(Grid::neighbourhood(rows, columns, NEIGHBOURHOOD)),
        Some(Grid::windows(rows, columns, WINDOW, SHIFT)),
    ];
    let layers = kinds.into_iter().map(|kind| compare(gpu, &q, &k, kind)).collect::<Result<Vec<_>>>()?;
    println!("no model    patches are compared by {}", patches::DESCRIPTORS.join(", "));
    let note = format!(
        "No model: heads compare the {} of patches. In layer 0 a patch sees all others, in layer 1 the {NEIGHBOURHOOD} x {NEIGHBOURHOOD} \
         around it (neighbourhood attention, Hassani et al. 2023), in layer 2 those of its window of {WINDOW} x {WINDOW}, shifted by \
         {SHIFT} (Liu et al. 2021).",
        patches::DESCRIPTORS.join(", the "),
    );
    let gallery = Gallery {
        title: &format!("{name}, no model: descriptors of patches compared"),
        note: &note,
        tokens: &names(&[], grid),
        layers: &layers,
        heads: &patches::DESCRIPTORS,
        hidden: &k,
        picture: Some((&patches::png(&picture)?, grid)),
        query: query(options.patch, grid)?.unwrap_or(grid.token(5, 5) as usize),
        facts: json!({ "image": name, "descriptors": patches::DESCRIPTORS }),
        without_special: false,
        out: &options.out,
    };
    gallery.write()
}

/// Patches that a patch sees along a side, around it and in its window, and where windows start.
const NEIGHBOURHOOD: u32 = 5;
const WINDOW: u32 = 7;
const SHIFT: u32 = 3;

/// Attention of descriptors: where each patch finds what is like it, among all or those of a kind of places.
fn compare(gpu: &Gpu, q: &[f32], k: &[f32], kind: Option<Grid>) -> Result<Seen> {
    let (heads, dim) = (patches::DESCRIPTORS.len() as u32, patches::DIM as u32);
    let len = q.len() as u32 / (heads * dim);
    let shape =
        Shape { batch: 1, q_heads: heads, kv_heads: heads, q_len: len, kv_len: len, head_dim: dim, value_dim: dim };
    let spec = Spec::new(shape).order(Order::Bshd).weights();
    let spec = kind.map_or(spec.clone(), |kind| spec.grid(kind));
    let weights = gpu.run(&spec, &Inputs::new(q, k, k))?.take(Tensor::Weights).unwrap_or_default();
    let measures = Measures::of(&spec).rows().received();
    let mut measured = gpu.run(&measures, &Inputs::without_values(q, k))?;
    let heads = inspect::heads(&measures, &measured);
    Ok(Seen { weights, heads, received: measured.take(Tensor::Received).unwrap_or_default() })
}

fn names(specials: &[&str], grid: PatchRegions) -> Vec<String> {
    let [columns, _] = grid.size();
    let patch = |n: u32| format!("patch {},{}", n % columns, n / columns);
    specials.iter().map(ToString::to_string).chain((0..grid.patches()).map(patch)).collect()
}

/// The token of a patch that was asked for.
fn query(patch: Option<[u32; 2]>, grid: PatchRegions) -> Result<Option<usize>> {
    let Some([x, y]) = patch else { return Ok(None) };
    let [columns, rows] = grid.size();
    if x >= columns || y >= rows {
        return Err(format!("patch {x},{y} is outside the grid of {columns} x {rows}").into());
    }
    Ok(Some(grid.token(x, y) as usize))
}
