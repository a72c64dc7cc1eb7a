//! A published text encoder: tokens, embeddings, layers, classification head. BERT, RoBERTa, XLM-RoBERTa and DistilBERT.

use std::{error::Error, path::Path};

use tokenizers::Tokenizer;

use crate::{
    checkpoint::Checkpoint,
    encoder::{Answer, Encoder, Family, Hidden, Linear, Norm, answer},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A text model.
pub(crate) struct TextModel {
    pub kind: String,
    prefix: String,
    pub encoder: Encoder,
}

impl TextModel {
    pub(crate) fn read(checkpoint: &Checkpoint) -> Result<Self> {
        let kind = checkpoint.text("model_type")?;
        let family = Family::of(kind).filter(|_| matches!(kind, "bert" | "roberta" | "xlm-roberta" | "distilbert"));
        let family = family.ok_or_else(|| {
            format!(
                "model_type {kind:?} is not one of bert, roberta, xlm-roberta and distilbert: nothing else can be read"
            )
        })?;
        let position = checkpoint.get("position_embedding_type").and_then(|kind| kind.as_str()).unwrap_or("absolute");
        if position != "absolute" {
            return Err(
                format!("position_embedding_type {position:?} is not absolute: nothing else can be read").into()
            );
        }
        let prefixed = checkpoint.has(&format!("{}embeddings.word_embeddings.weight", family.prefix));
        let prefix = if prefixed { family.prefix } else { "" };
        let encoder = Encoder::read(checkpoint, &family, prefix)?;
        Ok(Self { kind: kind.into(), prefix: prefix.into(), encoder })
    }

    fn is_roberta(&self) -> bool {
        self.kind.contains("roberta")
    }

    /// Numbers and names of the tokens of the text; special ones are kept, padding and truncation are not done.
    pub(crate) fn tokenise(&self, folder: &Path, text: &str) -> Result<(Vec<u32>, Vec<String>)> {
        let path = folder.join("tokenizer.json");
        let broken = |error: tokenizers::Error| format!("{}: {error}", path.display());
        let mut tokenizer = Tokenizer::from_file(&path).map_err(broken)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(broken)?;
        let encoding = tokenizer.encode(text, true).map_err(broken)?;
        // Byte-level pieces are spelt in an alphabet of their own: what they stand for in the text is easier to read.
        let piece = |(token, &(start, end)): (&String, &(usize, usize))| match text.get(start..end) {
            Some(piece) if self.is_roberta() && !piece.is_empty() => piece.trim().into(),
            _ => token.clone(),
        };
        let tokens = encoding.get_tokens().iter().zip(encoding.get_offsets()).map(piece).collect();
        Ok((encoding.get_ids().to_vec(), tokens))
    }

    /// What goes into the first layer.
    pub(crate) fn embed(&self, checkpoint: &Checkpoint, ids: &[u32]) -> Result<Hidden> {
        let size = self.encoder.hidden;
        let name = |part: &str| format!("{}embeddings.{part}", self.prefix);
        let table = |part: &str, rows: &str| {
            let rows = checkpoint.size(rows)?;
            Ok::<_, Box<dyn Error>>((rows, checkpoint.tensor(&name(&format!("{part}.weight")), &[rows, size])?))
        };
        let (vocabulary, words) = table("word_embeddings", "vocab_size")?;
        let (most, positions) = table("position_embeddings", "max_position_embeddings")?;
        // These models count positions from the one after the padding token's.
        let first = if self.is_roberta() { checkpoint.number("pad_token_id", 1.0)? as usize + 1 } else { 0 };
        if ids.is_empty() || first + ids.len() > most {
            let most = most.saturating_sub(first);
            return Err(format!("the text has {} tokens, the model takes from 1 to {most}", ids.len()).into());
        }
        let kinds = if self.kind == "distilbert" {
            vec![0.0; size]
        } else {
            table("token_type_embeddings", "type_vocab_size")?.1
        };
        let mut x = Hidden::zeros(size, ids.len());
        for (n, (&id, mut token)) in ids.iter().zip(x.column_iter_mut()).enumerate() {
            let row = |table: &[f32], n: usize| table[n * size..][..size].to_vec();
            if id as usize >= vocabulary {
                return Err(format!("tokenizer.json gives token {id}, the model knows {vocabulary}").into());
            }
            let parts = [row(&words, id as usize), row(&positions, first + n), row(&kinds, 0)];
            token.iter_mut().enumerate().for_each(|(d, x)| *x = parts.iter().map(|part| part[d]).sum());
        }
        Ok(Norm::read(checkpoint, &name("LayerNorm"), size)?.apply(x))
    }

    /// What a classification head makes of the first token, if there is one.
    pub(crate) fn classify(&self, checkpoint: &Checkpoint, hidden: &Hidden) -> Result<Option<Answer>> {
        let architecture = checkpoint.get("architectures").and_then(|all| all.get(0)?.as_str()).unwrap_or_default();
        if !architecture.ends_with("ForSequenceClassification") {
            return Ok(None);
        }
        let size = self.encoder.hidden;
        let first = hidden.columns(0, 1).into_owned();
        let (dense, activation, last): (_, fn(f32) -> f32, _) = match self.kind.as_str() {
            "bert" => ("bert.pooler.dense", f32::tanh, "classifier"),
            "distilbert" => ("pre_classifier", |x| x.max(0.0), "classifier"),
            _ => ("classifier.dense", f32::tanh, "classifier.out_proj"),
        };
        let pooled = Linear::read(checkpoint, dense, [size, size])?.apply(&first).map(activation);
        let labels = checkpoint.rows(&format!("{last}.weight"))?;
        let logits = Linear::read(checkpoint, last, [labels, size])?.apply(&pooled);
        Ok(answer(&checkpoint.labels(), logits.as_slice()))
    }
}
