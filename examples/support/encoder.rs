//! An encoder of a published checkpoint: all on the host but its attention, which runs on the GPU.
//!
//! Post-norm as in Devlin et al. 2019 (BERT and its kin), pre-norm as in Dosovitskiy et al. 2021 (ViT).
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::error::Error;

use nalgebra::DMatrix;
use wgpu_attention::{Gpu, Inputs, Measures, Order, Shape, Spec, inspect};

use crate::checkpoint::Checkpoint;

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
    pre_norm: bool,
    /// Keys of: hidden size, size of the feed-forward part, layers, heads, activation.
    keys: [&'static str; 5],
}

const USUAL_KEYS: [&str; 5] =
    ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act"];

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
    pre_norm: false,
    keys: USUAL_KEYS,
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
    pre_norm: true,
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

/// A token in each column.
pub(crate) type Hidden = DMatrix<f32>;

/// `y = W x + b`.
pub(crate) struct Linear {
    weight: DMatrix<f32>,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// `NAME.weight [outputs, inputs]`, `NAME.bias [outputs]` or none.
    pub(crate) fn read(checkpoint: &Checkpoint, name: &str, [outputs, inputs]: [usize; 2]) -> Result<Self> {
        let weight = checkpoint.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = format!("{name}.bias");
        let bias = if checkpoint.has(&bias) { Some(checkpoint.tensor(&bias, &[outputs])?) } else { None };
        Ok(Self { weight: DMatrix::from_row_slice(outputs, inputs, &weight), bias })
    }

    /// `weight [outputs, inputs]`, row by row.
    pub(crate) fn new(weight: &[f32], bias: Vec<f32>, outputs: usize) -> Self {
        Self { weight: DMatrix::from_row_slice(outputs, weight.len() / outputs, weight), bias: Some(bias) }
    }

    pub(crate) fn apply(&self, x: &Hidden) -> Hidden {
        let mut y = &self.weight * x;
        if let Some(bias) = &self.bias {
            y.column_iter_mut().for_each(|mut token| token.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        }
        y
    }
}

/// Layer normalisation (Ba et al. 2016).
pub(crate) struct Norm {
    gain: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f64,
}

impl Norm {
    /// `NAME.weight` and `NAME.bias`, or `gamma` and `beta` as in old files.
    pub(crate) fn read(checkpoint: &Checkpoint, name: &str, size: usize) -> Result<Self> {
        let old = checkpoint.has(&format!("{name}.gamma"));
        let [gain, shift] = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        let vector = |part| checkpoint.tensor(&format!("{name}.{part}"), &[size]);
        let epsilon = checkpoint.number("layer_norm_eps", 1e-12)?;
        Ok(Self { gain: vector(gain)?, shift: vector(shift)?, epsilon })
    }

    pub(crate) fn apply(&self, mut x: Hidden) -> Hidden {
        for mut token in x.column_iter_mut() {
            let n = token.len() as f64;
            let mean = token.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = token.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            for ((x, gain), shift) in token.iter_mut().zip(&self.gain).zip(&self.shift) {
                *x = ((f64::from(*x) - mean) * factor) as f32 * gain + shift;
            }
        }
        x
    }
}

fn activation(name: &str) -> Result<fn(f32) -> f32> {
    Ok(match name {
        "gelu" => |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        "gelu_new" | "gelu_pytorch_tanh" => {
            |x| 0.5 * x * (1.0 + ((x + 0.044715 * x * x * x) * (2.0 / std::f32::consts::PI).sqrt()).tanh())
        }
        "relu" => |x| x.max(0.0),
        "silu" | "swish" => |x| x / (1.0 + (-x).exp()),
        other => return Err(format!("activation {other:?} is not one of gelu, gelu_new, relu and silu").into()),
    })
}

struct Layer {
    linears: [Linear; 6],
    norms: [Norm; 2],
}

/// What the attention of a layer did.
pub(crate) struct Attended {
    /// `[heads, tokens, tokens]`.
    pub weights: Vec<f32>,
    pub heads: Vec<inspect::Head>,
    /// What each token gets from all, `[heads, tokens]`.
    pub received: Vec<f32>,
}

/// The layers of a model.
pub(crate) struct Encoder {
    pub hidden: usize,
    pub heads: usize,
    activation: fn(f32) -> f32,
    pre_norm: bool,
    layers: Vec<Layer>,
}

impl Encoder {
    /// `prefix` is what stands before all names in this file.
    pub(crate) fn read(checkpoint: &Checkpoint, family: &Family, prefix: &str) -> Result<Self> {
        let [hidden, wide, count, heads, act] = family.keys;
        let [hidden, wide, count, heads] = [hidden, wide, count, heads].map(|key| checkpoint.size(key));
        let (hidden, wide, count, heads) = (hidden?, wide?, count?, heads?);
        if hidden % heads != 0 {
            return Err(format!("{heads} heads do not divide a hidden size of {hidden}").into());
        }
        let layer = |n: usize| {
            let name = |part: &str| format!("{prefix}{}{n}.{part}", family.layers);
            let linear = |n: usize, shape| Linear::read(checkpoint, &name(family.linears[n]), shape);
            let square = |n| linear(n, [hidden, hidden]);
            let norm = |n: usize| Norm::read(checkpoint, &name(family.norms[n]), hidden);
            let (up, down) = ([wide, hidden], [hidden, wide]);
            let linears = [square(0)?, square(1)?, square(2)?, square(3)?, linear(4, up)?, linear(5, down)?];
            Ok(Layer { linears, norms: [norm(0)?, norm(1)?] })
        };
        let layers = (0..count).map(layer).collect::<Result<_>>()?;
        let activation = activation(checkpoint.text(act)?)?;
        Ok(Self { hidden, heads, activation, pre_norm: family.pre_norm, layers })
    }

    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// All layers; after each, what its attention did is handed on.
    pub(crate) fn run(&self, gpu: &Gpu, mut x: Hidden, mut seen: impl FnMut(Attended)) -> Result<Hidden> {
        for Layer { linears: [q, k, v, out, up, down], norms: [first, second] } in &self.layers {
            let normed = if self.pre_norm { first.apply(x.clone()) } else { x.clone() };
            let [q, k, v] = [q, k, v].map(|linear| linear.apply(&normed));
            let (mixed, attended) = attend(gpu, self.heads, [&q, &k, &v])?;
            seen(attended);
            x += out.apply(&mixed);
            if !self.pre_norm {
                x = first.apply(x);
            }
            let normed = if self.pre_norm { second.apply(x.clone()) } else { x.clone() };
            x += down.apply(&up.apply(&normed).map(self.activation));
            if !self.pre_norm {
                x = second.apply(x);
            }
        }
        Ok(x)
    }
}

/// Self-attention of queries, keys and values `[tokens, heads, head_dim]` on the GPU, and what it did.
pub(crate) fn attend(gpu: &Gpu, heads: usize, qkv: [&Hidden; 3]) -> Result<(Hidden, Attended)> {
    let (size, tokens) = qkv[0].shape();
    let (len, heads, dim) = (tokens as u32, heads as u32, (size / heads) as u32);
    let shape =
        Shape { batch: 1, q_heads: heads, kv_heads: heads, q_len: len, kv_len: len, head_dim: dim, value_dim: dim };
    let spec = Spec::new(shape).order(Order::Bshd);
    let [q, k, v] = qkv.map(|x| x.as_slice());
    let outputs = gpu.run(spec.clone().weights(), &Inputs::new(q, k, v))?;
    let measures = Measures::of(&spec).rows().received();
    let measured = gpu.run(&measures, &Inputs::without_values(q, k))?;
    let attended = Attended {
        heads: inspect::heads(&measures, &measured),
        weights: outputs.weights.unwrap_or_default(),
        received: measured.received.unwrap_or_default(),
    };
    Ok((Hidden::from_vec(size, tokens, outputs.out), attended))
}

/// A classification head's answer.
pub(crate) struct Answer {
    pub label: String,
    /// Of the softmax over all labels; the raw score where there is one label.
    pub probability: f32,
}

/// The likeliest of the labels.
pub(crate) fn answer(labels: &[String], logits: &[f32]) -> Option<Answer> {
    let (best, most) = logits.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let sum: f32 = logits.iter().map(|x| (x - most).exp()).sum();
    let probability = if logits.len() == 1 { most } else { 1.0 / sum };
    Some(Answer { label: labels.get(best).cloned().unwrap_or_else(|| format!("label {best}")), probability })
}
