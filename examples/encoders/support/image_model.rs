//! A published image encoder: patches, layers, classification head. ViT and DeiT.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::error::Error;

use wgpu_attention::{
    Activation, Attention, DType, Gpu,
    nn::{Graph, LayerNorm, Linear},
};

use super::{
    checkpoint::Checkpoint,
    patches::{Preparation, Tiles},
    published::{Answer, Family, Layers, Ready, answer, dense, options},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// An image model on a device.
pub(crate) struct ImageModel {
    pub kind: String,
    prefix: String,
    pub layers: Layers,
    projection: Linear,
    norm: LayerNorm,
    /// Tokens before the patches.
    pub specials: Vec<&'static str>,
    /// Pixels along a side of the image, and of a patch.
    pub side: u32,
    pub patch: u32,
}

impl ImageModel {
    pub(crate) fn read(checkpoint: &Checkpoint, attention: &Attention) -> Result<Self> {
        let kind = checkpoint.text("model_type")?;
        let family = Family::of(kind).filter(|_| matches!(kind, "vit" | "deit"));
        let family =
            family.ok_or_else(|| format!("model_type {kind:?} is neither vit nor deit: nothing else can be read"))?;
        let prefixed = checkpoint.has(&format!("{}embeddings.cls_token", family.prefix));
        let prefix = if prefixed { family.prefix } else { "" };
        let [side, patch] = [checkpoint.size("image_size")? as u32, checkpoint.size("patch_size")? as u32];
        if side % patch != 0 || side > 4096 {
            return Err(
                format!("an image of {side} pixels does not divide into patches of {patch}, or is above 4096").into()
            );
        }
        let specials = if kind == "deit" { vec!["[CLS]", "[DIST]"] } else { vec!["[CLS]"] };
        let mut weights = checkpoint.weights(attention)?;
        let layers = Layers::read(checkpoint, &mut weights, &family, prefix)?;
        let project = format!("{prefix}embeddings.patch_embeddings.projection");
        let weight = weights.take(&format!("{project}.weight"), &[layers.hidden, 3, patch, patch])?;
        let bias = weights.vector(&format!("{project}.bias"), layers.hidden)?;
        let projection = Linear::of(weight, Some(bias), [layers.hidden, 3 * patch * patch]);
        let norm = LayerNorm::load(&mut weights, &format!("{prefix}layernorm"), layers.hidden, layers.epsilon)?;
        Ok(Self { kind: kind.into(), prefix: prefix.into(), layers, projection, norm, specials, side, patch })
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// All steps for this picture, ready to run.
    pub(crate) fn prepare(
        &self,
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        tiles: &Tiles,
        preparation: &Preparation,
    ) -> Result<Ready> {
        let specials = self.specials.len();
        let tokens = specials + tiles.grid().patches() as usize;
        let added = self.added(checkpoint, tokens)?; // first: it refuses a number of patches that the model does not have
        // Special tokens have no pixels: what the projection makes of zeros is its bias.
        let mut rows = vec![0.0; specials * self.projection.inputs as usize];
        rows.extend(tiles.pixels(preparation));
        let mut graph = Graph::new(gpu.attention());
        let rows = graph.constant(tokens as u32, self.projection.inputs, DType::F32, &rows);
        let added = graph.constant(tokens as u32, self.layers.hidden, DType::F32, &added);
        let x = self.projection.forward(&mut graph, rows, Activation::None, Some(added))?;
        let (x, attended) = self.layers.encoder.forward(&mut graph, x, &options())?;
        let hidden = self.norm.forward(&mut graph, x)?;
        Ready::new(graph, hidden, attended)
    }

    /// What is added to projected pixels: positions, and the special tokens, less the bias that they would get.
    fn added(&self, checkpoint: &Checkpoint, tokens: usize) -> Result<Vec<f32>> {
        let size = self.layers.hidden as usize;
        let mut added = checkpoint.tensor(&self.name("embeddings.position_embeddings"), &[1, tokens, size])?;
        let bias = checkpoint.tensor(&self.name("embeddings.patch_embeddings.projection.bias"), &[size])?;
        let names = ["embeddings.cls_token", "embeddings.distillation_token"];
        for (name, row) in names.iter().take(self.specials.len()).zip(added.chunks_mut(size)) {
            let token = checkpoint.tensor(&self.name(name), &[1, 1, size])?;
            row.iter_mut().zip(token.iter().zip(&bias)).for_each(|(x, (token, bias))| *x += token - bias);
        }
        Ok(added)
    }

    /// What a classification head makes of the special tokens, if there is one.
    pub(crate) fn classify(&self, checkpoint: &Checkpoint, hidden: &[f32]) -> Result<Option<Answer>> {
        let heads = if checkpoint.has("distillation_classifier.weight") {
            vec!["cls_classifier", "distillation_classifier"]
        } else if checkpoint.has("classifier.weight") {
            vec!["classifier"]
        } else {
            return Ok(None);
        };
        let rows = hidden.chunks(self.layers.hidden as usize);
        let logits = heads.iter().zip(rows).map(|(head, row)| dense(checkpoint, head, row));
        let logits = logits.collect::<Result<Vec<_>>>()?;
        // The mean of the heads, which have the same labels.
        let mean = |n: usize| logits.iter().map(|logits| logits.get(n).copied().unwrap_or(0.0)).sum::<f32>();
        let mean: Vec<f32> = (0..logits[0].len()).map(|n| mean(n) / logits.len() as f32).collect();
        Ok(answer(checkpoint, &mean))
    }
}
