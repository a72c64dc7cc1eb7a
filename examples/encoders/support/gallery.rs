//! Writes what was seen of a model's attention: pictures, a page, measures, weights.

use std::{error::Error, path::Path};

use indicatif::ProgressBar;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use wgpu_attention::inspect::{
    PatchRegions, Rollout,
    plot::{Figure, HeatMap, Overlay, Page, Panel, is_special},
};

use super::{files, published::Seen};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Heads beside each other in a picture.
const COLUMNS: usize = 4;

/// All that is shown of one run of a model.
pub(crate) struct Gallery<'a> {
    pub title: &'a str,
    /// A line under it; none if empty.
    pub note: &'a str,
    pub tokens: &'a [String],
    pub layers: &'a [Seen],
    /// What is known of each head; nothing where nothing is.
    pub heads: &'a [&'a str],
    /// `[tokens, hidden]`.
    pub hidden: &'a [f32],
    /// An image and its patches, if tokens are such: pictures then show what one token sees of it.
    pub picture: Option<(&'a [u8], PatchRegions)>,
    /// That token.
    pub query: usize,
    /// What else stats.json says.
    pub facts: Value,
    /// Special tokens are left out of pictures, and of the page until the reader wants them.
    pub without_special: bool,
    pub out: &'a Path,
}

impl Gallery<'_> {
    pub(crate) fn write(&self) -> Result<()> {
        let out = self.out;
        eprintln!("drawing {} layers", self.layers.len());
        // Hidden by itself where there is no terminal.
        let bar = ProgressBar::new(self.layers.len() as u64);
        for (n, layer) in self.layers.iter().enumerate() {
            bar.inc(1);
            self.save(&format!("layer_{n:02}.svg"), self.figure(n, layer)?.svg().as_bytes())?;
        }
        bar.finish_and_clear();
        self.save("index.html", self.page()?.html()?.as_bytes())?;
        self.save("stats.json", serde_json::to_string_pretty(&self.stats()?)?.as_bytes())?;
        self.save("weights.safetensors", &self.weights()?)?;
        println!("wrote       {}: a picture of each layer, stats.json, weights.safetensors", out.display());
        println!("open        {}", out.join("index.html").display());
        Ok(())
    }

    fn save(&self, name: &str, bytes: &[u8]) -> Result<()> {
        files::write(&self.out.join(name), bytes)
    }

    /// All heads of a layer.
    fn figure(&self, n: usize, layer: &Seen) -> Result<Figure> {
        let size = self.tokens.len() * self.tokens.len();
        let panels = (0..).zip(layer.weights.chunks(size)).map(|(head, weights)| self.panel(head, weights));
        let panels = panels.collect::<Result<Vec<_>>>()?;
        let title = if self.picture.is_some() {
            format!("{} (layer {n}, what {} sees)", self.title, self.tokens[self.query])
        } else {
            format!("{} (layer {n})", self.title)
        };
        Ok(Figure::new(&title, &panels, COLUMNS)?)
    }

    /// A head: all its weights, or what one token sees of the image.
    fn panel<'a>(&'a self, head: usize, weights: &'a [f32]) -> Result<Panel<'a>> {
        let title =
            self.heads.get(head).map_or_else(|| format!("head {head}"), |known| format!("head {head}: {known}"));
        let Some((image, grid)) = self.picture else {
            let map = HeatMap::new(self.tokens, self.tokens, weights)?.title(title);
            return Ok(if self.without_special { map.without(is_special) } else { map }.into());
        };
        let row = &weights[self.query * self.tokens.len()..][..self.tokens.len()];
        let seen = grid.seen(row).ok_or("the image has more patches than tokens")?;
        let overlay = Overlay::new(image, grid, seen)?.title(title);
        let patch = (self.query as u32).checked_sub(grid.first());
        Ok(match patch.map(|patch| (patch % grid.size()[0], patch / grid.size()[0])) {
            Some((x, y)) => overlay.query(x, y).into(),
            None => overlay.into(),
        })
    }

    fn page(&self) -> Result<Page> {
        let mut page = Page::new(self.title, self.tokens, self.tokens);
        if !self.note.is_empty() {
            page = page.note(self.note);
        }
        if self.without_special {
            page = page.without(is_special);
        }
        if let Some((image, grid)) = self.picture {
            page = page.picture(image, grid)?;
        }
        for (n, layer) in self.layers.iter().enumerate() {
            page = page.layer(&format!("layer {n}"), &layer.weights, &layer.heads)?;
        }
        Ok(page)
    }

    /// Measures of each head, what each token gets, and what the first token has of each through all layers.
    fn stats(&self) -> Result<Value> {
        let tokens = self.tokens.len();
        let layer = |layer: &Seen| {
            let heads: Vec<Value> = layer.heads.iter().map(|head| head.named().into_iter().collect()).collect();
            json!({ "heads": heads, "received": layer.received.chunks(tokens).collect::<Vec<_>>() })
        };
        let means: Vec<Vec<f32>> = self.layers.iter().map(|layer| mean(layer, tokens * tokens)).collect();
        let means: Vec<&[f32]> = means.iter().map(Vec::as_slice).collect();
        let rollout = Rollout::new(tokens, &means)?.rollout();
        let mut stats = self.facts.clone();
        stats["tokens"] = json!(self.tokens);
        stats["layers"] = self.layers.iter().map(layer).collect();
        stats["rollout_of_first"] = json!(rollout[..tokens]);
        Ok(stats)
    }

    fn weights(&self) -> Result<Vec<u8>> {
        let [layers, heads, tokens] = [self.layers.len(), self.layers[0].heads.len(), self.tokens.len()];
        let weights: Vec<f32> = self.layers.iter().flat_map(|layer| layer.weights.iter().copied()).collect();
        let view = |shape, data| TensorView::new(Dtype::F32, shape, bytemuck::cast_slice::<f32, u8>(data));
        let weights = view(vec![layers, heads, tokens, tokens], &weights)?;
        let hidden = view(vec![tokens, self.hidden.len() / tokens], self.hidden)?;
        let metadata = [("tokens".into(), json!(self.tokens).to_string())].into_iter().collect();
        Ok(safetensors::serialize([("weights", weights), ("last_hidden_state", hidden)], Some(metadata))?)
    }
}

/// The mean over heads.
fn mean(layer: &Seen, size: usize) -> Vec<f32> {
    let mut mean = vec![0.0; size];
    for head in layer.weights.chunks(size) {
        mean.iter_mut().zip(head).for_each(|(mean, weight)| *mean += weight / layer.heads.len() as f32);
    }
    mean
}

/// Says which heads stand out in what.
pub(crate) fn tell(layers: &[Seen]) {
    let all = || layers.iter().enumerate().flat_map(|(n, layer)| layer.heads.iter().map(move |head| (n, head)));
    let names = all().next().map(|(_, head)| head.named().map(|(name, _)| name)).unwrap_or_default();
    for (at, what) in [(5, "at themselves"), (6, "at the token before"), (7, "at the first token"), (1, "everywhere")] {
        let most = all().max_by(|a, b| a.1.named()[at].1.total_cmp(&b.1.named()[at].1));
        if let Some((layer, head)) = most {
            println!("look {what:<20} layer {layer}, head {}: {} {:.2}", head.head, names[at], head.named()[at].1);
        }
    }
}
