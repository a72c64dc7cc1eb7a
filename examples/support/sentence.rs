//! Reads the q, k and v that a language model computed for one sentence, from a safetensors file.
//!
//! The file is not trusted: whatever is in it, the answer is a [`Sentence`] that is whole, or an error that says what is wrong.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::error::Error;

use safetensors::{Dtype, SafeTensors};
use wgpu_attention::{Inputs, Shape, Spec};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Queries, keys and values of every layer and head of a model, for one sentence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sentence {
    /// The sentence as written.
    pub text: String,
    /// Its tokens, one for each row of q, k and v.
    pub tokens: Vec<String>,
    /// How many layers.
    pub layers: usize,
    shape: Shape,
    scale: f32,
    /// q, k and v, each `[layers, heads, tokens, head_dim]`.
    qkv: [Vec<f32>; 3],
}

impl Sentence {
    /// Reads f32 tensors `q`, `k` and `v`, each `[layers, heads, tokens, head_dim]`, and the metadata `text`, `tokens` (a JSON
    /// list of strings) and `scale`.
    pub(crate) fn parse(file: &[u8]) -> Result<Self> {
        let broken = |error| format!("not a whole safetensors file: {error}");
        let tensors = SafeTensors::deserialize(file).map_err(broken)?;
        let (_, header) = SafeTensors::read_metadata(file).map_err(broken)?;
        let metadata = header.metadata().as_ref().ok_or("the file has no metadata")?;
        let text =
            |key: &str| metadata.get(key).map(String::as_str).ok_or_else(|| format!("the metadata lacks {key:?}"));

        let (sizes, q) = read(&tensors, "q")?;
        let [layers, heads, len, dim] = sizes;
        let same = |name| match read(&tensors, name)? {
            (found, values) if found == sizes => Ok(values),
            (found, _) => Err(format!("{name} is {found:?}, and q is {sizes:?}")),
        };
        let qkv = [q, same("k")?, same("v")?];

        let shape =
            Shape { batch: 1, q_heads: heads, kv_heads: heads, q_len: len, kv_len: len, head_dim: dim, value_dim: dim };
        let sentence = Self {
            text: text("text")?.into(),
            tokens: tokens(text("tokens")?, len)?,
            layers: layers as usize,
            shape,
            scale: number("scale", text("scale")?)?,
            qkv,
        };
        sentence.spec().check()?;
        Ok(sentence)
    }

    /// Attention as the model computes it in each layer: all heads, every token sees every token.
    pub(crate) fn spec(&self) -> Spec {
        Spec::new(self.shape).scale(self.scale)
    }

    /// The inputs of one layer.
    pub(crate) fn layer(&self, layer: usize) -> Inputs<'_> {
        let size = self.qkv[0].len() / self.layers;
        let [q, k, v] = self.qkv.each_ref().map(|values| &values[layer * size..][..size]);
        Inputs::new(q, k, v)
    }

    /// Where the weights of one head lie among those of its layer.
    pub(crate) fn head(&self, head: usize) -> std::ops::Range<usize> {
        let size = self.tokens.len() * self.tokens.len();
        head * size..(head + 1) * size
    }
}

/// Sizes and elements of a tensor.
fn read(tensors: &SafeTensors<'_>, name: &str) -> std::result::Result<([u32; 4], Vec<f32>), String> {
    let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("{name} is stored as {}, not as F32", tensor.dtype()));
    }
    let shape = tensor.shape();
    let sizes: Option<Vec<u32>> = shape.iter().map(|&size| u32::try_from(size).ok().filter(|&size| size > 0)).collect();
    let sizes = sizes.and_then(|sizes| <[u32; 4]>::try_from(sizes).ok());
    let sizes = sizes.ok_or_else(|| format!("{name} is {shape:?}, not [layers, heads, tokens, head_dim]"))?;
    let (words, _) = tensor.data().as_chunks();
    let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!("element {index} of {name} is {}", values[index])),
        None => Ok((sizes, values)),
    }
}

fn tokens(written: &str, len: u32) -> Result<Vec<String>> {
    let list = serde_json::from_str::<Vec<String>>(written);
    let list = list.map_err(|error| format!("\"tokens\" is not a JSON list of strings: {error}"))?;
    if list.len() == len as usize { Ok(list) } else { Err(format!("{} tokens for {len} rows", list.len()).into()) }
}

fn number(key: &str, written: &str) -> Result<f32> {
    written.parse().map_err(|_| format!("{key:?} is {written:?}, not a number").into())
}
