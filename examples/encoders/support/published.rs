//! Published encoders as layers of [`nn`]: what their files call them, and a run of all layers in one submission.
//!
//! Post-norm as in Devlin et al. 2019 (BERT and its kin), pre-norm as in Dosovitskiy et al. 2021 (ViT).
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::error::Error;

use wgpu_attention::{
    Activation, Gpu, inspect,
    nn::{
        Attended, CallOptions, Encoder, EncoderLayer, FeedForward, Graph, LayerNorm, Linear, Model, MultiHeadAttention,
        Node, ReturnWeights, StateDict,
    },
    wgpu,
};

use super::checkpoint::Checkpoint;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A kind of model: what its tensors are called in its files and its settings in config.json.
pub(crate) struct Family {
    /// What may stand before all names.
    pub prefix: &'static str,
    /// Each layer, before its number.
    layers: &'static str,
    /// Query, key, value and output projections; the two of the feed-forward part.
    linears: [&'static str; 6],
    /// Norms of the attention and of the feed-forward part.
    norms: [&'static str; 2],
    /// Norms stand before what they belong to, not after its residual.
    norm_first: bool,
    /// Keys of: hidden size, size of the feed-forward part, layers, heads, activation.
    keys: [&'static str; 5],
}

const BERT: Family = Family {
    prefix: "bert.",
    layers: "encoder.layer.",
    linears: [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ],
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    norm_first: false,
    keys: ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act"],
};
const DISTILBERT: Family = Family {
    prefix: "distilbert.",
    layers: "transformer.layer.",
    linears: ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1", "ffn.lin2"],
    norms: ["sa_layer_norm", "output_layer_norm"],
    keys: ["dim", "hidden_dim", "n_layers", "n_heads", "activation"],
    ..BERT
};
const VIT: Family = Family {
    prefix: "vit.",
    linears: [
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ],
    norms: ["layernorm_before", "layernorm_after"],
    norm_first: true,
    ..BERT
};

impl Family {
    /// By `model_type` of config.json.
    pub(crate) fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "bert" => Some(BERT),
            "roberta" | "xlm-roberta" => Some(Self { prefix: "roberta.", ..BERT }),
            "distilbert" => Some(DISTILBERT),
            "vit" => Some(VIT),
            "deit" => Some(Self { prefix: "deit.", ..VIT }),
            _ => None,
        }
    }
}

/// The layers of a model, and sizes that all its parts share.
pub(crate) struct Layers {
    pub hidden: u32,
    pub heads: u32,
    pub epsilon: f32,
    pub encoder: Encoder,
}

impl Layers {
    /// `prefix` is what stands before all names in this file.
    pub(crate) fn read(
        checkpoint: &Checkpoint,
        weights: &mut StateDict<'_>,
        family: &Family,
        prefix: &str,
    ) -> Result<Self> {
        let [hidden, wide, count, heads, act] = family.keys;
        let [hidden, wide, count, heads] = [hidden, wide, count, heads].map(|key| checkpoint.size(key));
        let (hidden, wide, count, heads) = (hidden? as u32, wide? as u32, count?, heads? as u32);
        let (epsilon, activation) =
            (checkpoint.number("layer_norm_eps", 1e-12)? as f32, activation(checkpoint.text(act)?)?);
        let mut layer = |n: usize| {
            let name = |part: &str| format!("{prefix}{}{n}.{part}", family.layers);
            let mut linear = |n: usize, [outputs, inputs]: [u32; 2]| {
                Linear::load(weights, &name(family.linears[n]), outputs, inputs)
            };
            let square = [hidden, hidden];
            let projections = [linear(0, square)?, linear(1, square)?, linear(2, square)?, linear(3, square)?];
            let attention = MultiHeadAttention::of(heads, projections)?;
            let (up, down) = (linear(4, [wide, hidden])?, linear(5, [hidden, wide])?);
            let mut norm = |n: usize| LayerNorm::load(weights, &name(family.norms[n]), hidden, epsilon);
            let norms = [norm(0)?, norm(1)?];
            Ok(EncoderLayer::of(attention, FeedForward { up, down, activation }, norms, family.norm_first))
        };
        let layers = (0..count).map(&mut layer).collect::<Result<Vec<_>>>()?;
        Ok(Self { hidden, heads, epsilon, encoder: Encoder::of(layers, None) })
    }
}

fn activation(name: &str) -> Result<Activation> {
    Ok(match name {
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        other => return Err(format!("activation {other:?} is not one of gelu, gelu_new, relu and silu").into()),
    })
}

/// What the attention of a layer did.
pub(crate) struct Seen {
    /// `[heads, tokens, tokens]`.
    pub weights: Vec<f32>,
    pub heads: Vec<inspect::Head>,
    /// What each token gets from all, `[heads, tokens]`.
    pub received: Vec<f32>,
}

/// What all queries see, and all that is shown of it.
pub(crate) fn options() -> CallOptions {
    CallOptions::of(1).weights(ReturnWeights::EachHead).measured()
}

/// A graph that is finished: a run is one submission.
pub(crate) struct Ready {
    model: Model,
    hidden: Node,
    attended: Vec<Attended>,
}

impl Ready {
    /// All that is read afterwards is kept.
    pub(crate) fn new(mut graph: Graph, hidden: Node, attended: Vec<Attended>) -> Result<Self> {
        graph.keep(hidden);
        for one in &attended {
            let measured = one.measured.iter().flat_map(|measured| [measured.rows, measured.received]);
            for value in one.weights.into_iter().chain(measured) {
                graph.keep(value);
            }
        }
        Ok(Self { model: graph.compile()?, hidden, attended })
    }

    pub(crate) fn dispatches(&self) -> usize {
        self.model.dispatches()
    }

    /// One forward pass: the last hidden state `[tokens, hidden]`.
    pub(crate) fn run(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.model.encode(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
        Ok(gpu.read(self.model.buffer(self.hidden)?)?)
    }

    /// What the layers did in the last run.
    pub(crate) fn seen(&self, gpu: &Gpu) -> Result<Vec<Seen>> {
        let read = |value: Node| gpu.read::<f32>(self.model.buffer(value)?);
        let one = |attended: &Attended| {
            let (weights, measured) = attended.weights.zip(attended.measured.as_ref()).ok_or("nothing was measured")?;
            let heads = measured.heads(&read(measured.rows)?);
            Ok(Seen { weights: read(weights)?, heads, received: read(measured.received)? })
        };
        self.attended.iter().map(one).collect()
    }
}

/// A classification head's answer.
pub(crate) struct Answer {
    pub label: String,
    /// Of the softmax over all labels, or of the label alone where labels exclude each other not; the raw score where there is one label.
    pub probability: f32,
}

/// The likeliest of a checkpoint's labels.
pub(crate) fn answer(checkpoint: &Checkpoint, logits: &[f32]) -> Option<Answer> {
    let labels = checkpoint.labels();
    let (best, most) = logits.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let sum: f32 = logits.iter().map(|x| (x - most).exp()).sum();
    let probability = match checkpoint.get("problem_type").and_then(|kind| kind.as_str()) {
        Some("multi_label_classification") => 1.0 / (1.0 + (-most).exp()),
        _ if logits.len() == 1 => most,
        _ => 1.0 / sum,
    };
    Some(Answer { label: labels.get(best).cloned().unwrap_or_else(|| format!("label {best}")), probability })
}

/// A linear layer of a classification head over one row, on the host: `NAME.weight [outputs, row]` and `NAME.bias`.
pub(crate) fn dense(checkpoint: &Checkpoint, name: &str, row: &[f32]) -> Result<Vec<f32>> {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let outputs = checkpoint.rows(&weight)?;
    let (weight, bias) = (checkpoint.tensor(&weight, &[outputs, row.len()])?, checkpoint.tensor(&bias, &[outputs])?);
    let dot = |weight: &[f32]| weight.iter().zip(row).map(|(w, x)| w * x).sum::<f32>();
    Ok(weight.chunks(row.len()).zip(bias).map(|(weight, bias)| dot(weight) + bias).collect())
}
