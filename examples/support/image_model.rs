//! A published image encoder: patches, layers, classification head. ViT and DeiT.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::error::Error;

use crate::{
    checkpoint::Checkpoint,
    encoder::{Answer, Encoder, Family, Hidden, Linear, Norm, answer},
    patches::{Preparation, Tiles},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// An image model.
pub(crate) struct ImageModel {
    pub kind: String,
    prefix: String,
    pub encoder: Encoder,
    /// Tokens before the patches.
    pub specials: Vec<&'static str>,
    /// Pixels along a side of the image, and of a patch.
    pub side: u32,
    pub patch: u32,
}

impl ImageModel {
    pub(crate) fn read(checkpoint: &Checkpoint) -> Result<Self> {
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
        let encoder = Encoder::read(checkpoint, &family, prefix)?;
        Ok(Self { kind: kind.into(), prefix: prefix.into(), encoder, specials, side, patch })
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// What goes into the first layer: special tokens, then projected patches, each with its position.
    pub(crate) fn embed(&self, checkpoint: &Checkpoint, tiles: &Tiles, preparation: &Preparation) -> Result<Hidden> {
        let (size, specials) = (self.encoder.hidden, self.specials.len());
        let pixels = tiles.pixels(preparation);
        let patch = self.patch as usize;
        let project = self.name("embeddings.patch_embeddings.projection");
        let weight = checkpoint.tensor(&format!("{project}.weight"), &[size, 3, patch, patch])?;
        let patches =
            Linear::new(&weight, checkpoint.tensor(&format!("{project}.bias"), &[size])?, size).apply(&pixels);
        let tokens = specials + patches.ncols();
        let positions = checkpoint.tensor(&self.name("embeddings.position_embeddings"), &[1, tokens, size])?;
        let mut x = Hidden::from_column_slice(size, tokens, &positions);
        for (n, token) in ["embeddings.cls_token", "embeddings.distillation_token"][..specials].iter().enumerate() {
            let token = checkpoint.tensor(&self.name(token), &[1, 1, size])?;
            x.column_mut(n).iter_mut().zip(token).for_each(|(x, y)| *x += y);
        }
        let mut rest = x.columns_mut(specials, patches.ncols());
        rest += patches;
        Ok(x)
    }

    /// What is made of what the last layer gives.
    pub(crate) fn finish(&self, checkpoint: &Checkpoint, hidden: Hidden) -> Result<Hidden> {
        Ok(Norm::read(checkpoint, &self.name("layernorm"), self.encoder.hidden)?.apply(hidden))
    }

    /// What a classification head makes of the special tokens, if there is one.
    pub(crate) fn classify(&self, checkpoint: &Checkpoint, hidden: &Hidden) -> Result<Option<Answer>> {
        let heads = if checkpoint.has("distillation_classifier.weight") {
            vec!["cls_classifier", "distillation_classifier"]
        } else if checkpoint.has("classifier.weight") {
            vec!["classifier"]
        } else {
            return Ok(None);
        };
        let mut logits: Option<Hidden> = None;
        for (n, head) in heads.into_iter().enumerate() {
            let labels = checkpoint.rows(&format!("{head}.weight"))?;
            let own = Linear::read(checkpoint, head, [labels, self.encoder.hidden])?;
            let own = own.apply(&hidden.columns(n, 1).into_owned());
            logits = Some(match logits {
                // The mean of two, which have the same labels.
                Some(other) if other.shape() == own.shape() => (other + own) / 2.0,
                _ => own,
            });
        }
        Ok(logits.and_then(|logits| answer(&checkpoint.labels(), logits.as_slice())))
    }
}
