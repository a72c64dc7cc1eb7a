//! A published text encoder: tokens, embeddings, layers, classification head. BERT, RoBERTa, XLM-RoBERTa and DistilBERT.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::{error::Error, fs, panic, path::Path};

use tokenizers::{Encoding, Tokenizer};
use wgpu_attention::{
    Attention, DType, Gpu,
    nn::{Embedding, Graph, LayerNorm},
};

use super::{
    checkpoint::Checkpoint,
    published::{Answer, Family, Layers, Ready, answer, dense, options},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A text model on a device.
pub(crate) struct TextModel {
    pub kind: String,
    prefix: String,
    pub layers: Layers,
    words: Embedding,
    /// The kind of all tokens, added to each; some models have none.
    sort: Option<Vec<f32>>,
    norm: LayerNorm,
    /// Most tokens of a text.
    most: u32,
}

impl TextModel {
    pub(crate) fn read(checkpoint: &Checkpoint, attention: &Attention) -> Result<Self> {
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
        let mut weights = checkpoint.weights(attention)?;
        let layers = Layers::read(checkpoint, &mut weights, &family, prefix)?;
        let [vocabulary, positions] = ["vocab_size", "max_position_embeddings"].map(|key| checkpoint.size(key));
        let (vocabulary, positions) = (vocabulary? as u32, positions? as u32);
        // These models count positions from the one after the padding token's.
        let first = if kind.contains("roberta") {
            (checkpoint.number("pad_token_id", 1.0)? as u32).saturating_add(1)
        } else {
            0
        };
        let name = |part: &str| format!("{prefix}embeddings.{part}");
        let words = Embedding::load(&mut weights, &name("word_embeddings"), vocabulary, layers.hidden)?;
        let words = words.learned(&mut weights, &name("position_embeddings"), [positions, first])?;
        let sort = if kind == "distilbert" {
            None
        } else {
            let sizes = [checkpoint.size("type_vocab_size")?, layers.hidden as usize];
            // The first row: all tokens are of the first text.
            let sorts = checkpoint.tensor(&name("token_type_embeddings.weight"), &sizes)?;
            Some(sorts[..layers.hidden as usize].to_vec())
        };
        let norm = LayerNorm::load(&mut weights, &name("LayerNorm"), layers.hidden, layers.epsilon)?;
        let most = positions.saturating_sub(first);
        Ok(Self { kind: kind.into(), prefix: prefix.into(), layers, words, sort, norm, most })
    }

    fn is_roberta(&self) -> bool {
        self.kind.contains("roberta")
    }

    /// Numbers and names of the tokens of the text; special ones are kept, padding and truncation are not done.
    pub(crate) fn tokenise(&self, folder: &Path, text: &str) -> Result<(Vec<u32>, Vec<String>)> {
        let path = folder.join("tokenizer.json");
        let file = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        self.tokenise_by(&path, &file, text)
    }

    /// The same by what a file holds, whose name messages have.
    pub(crate) fn tokenise_by(&self, path: &Path, file: &[u8], text: &str) -> Result<(Vec<u32>, Vec<String>)> {
        // A library that panics at some settings that are wrong.
        let encoding = panic::catch_unwind(|| encode(file, text)).unwrap_or_else(|_| Err("it is broken".into()));
        let encoding = encoding.map_err(|error| format!("{}: {error}", path.display()))?;
        // Byte-level pieces are spelt in an alphabet of their own: what they stand for in the text is easier to read.
        let piece = |(token, &(start, end)): (&String, &(usize, usize))| match text.get(start..end) {
            Some(piece) if self.is_roberta() && !piece.is_empty() => piece.trim().into(),
            _ => token.clone(),
        };
        let tokens = encoding.get_tokens().iter().zip(encoding.get_offsets()).map(piece).collect();
        Ok((encoding.get_ids().to_vec(), tokens))
    }

    /// All steps for these tokens, ready to run.
    pub(crate) fn prepare(&self, gpu: &Gpu, ids: &[u32]) -> Result<Ready> {
        let len = ids.len() as u32;
        if len == 0 || len > self.most {
            return Err(format!("the text has {len} tokens, the model takes from 1 to {}", self.most).into());
        }
        if let Some(id) = ids.iter().find(|&&id| id >= self.words.count) {
            return Err(format!("tokenizer.json gives token {id}, the model knows {}", self.words.count).into());
        }
        let mut graph = Graph::new(gpu.attention());
        let ids = graph.constant(1, len, DType::U32, ids);
        let x = self.words.forward(&mut graph, ids, len);
        let sort = self.sort.as_ref().map(|sort| graph.constant(1, self.layers.hidden, DType::F32, sort));
        let x = self.norm.forward_sum(&mut graph, x, sort)?;
        let (hidden, attended) = self.layers.encoder.forward(&mut graph, x, &options())?;
        Ready::new(graph, hidden, attended)
    }

    /// What a classification head makes of the first token, if there is one.
    pub(crate) fn classify(&self, checkpoint: &Checkpoint, hidden: &[f32]) -> Result<Option<Answer>> {
        let architecture = checkpoint.get("architectures").and_then(|all| all.get(0)?.as_str()).unwrap_or_default();
        if !architecture.ends_with("ForSequenceClassification") {
            return Ok(None);
        }
        let (inner, activation, outer): (_, fn(f32) -> f32, _) = match self.kind.as_str() {
            "bert" => ("bert.pooler.dense", f32::tanh, "classifier"),
            "distilbert" => ("pre_classifier", |x| x.max(0.0), "classifier"),
            _ => ("classifier.dense", f32::tanh, "classifier.out_proj"),
        };
        let pooled = dense(checkpoint, inner, &hidden[..self.layers.hidden as usize])?;
        let pooled: Vec<f32> = pooled.into_iter().map(activation).collect();
        Ok(answer(checkpoint, &dense(checkpoint, outer, &pooled)?))
    }
}

/// What the tokenizer of a file makes of a text.
fn encode(file: &[u8], text: &str) -> tokenizers::Result<Encoding> {
    let mut tokenizer = Tokenizer::from_bytes(file)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None)?;
    tokenizer.encode(text, true)
}
