//! Ops `mha` and `encoder_layer`, as layers of [`nn`].

use std::borrow::Cow;

use safetensors::{Dtype, tensor::TensorView};
use wgpu_attention::{
    Activation, DType, Gpu,
    nn::{
        Attended, CallOptions, EncoderLayer, Graph, Heads, LayerConfig, MultiHeadAttention, Node, ReturnWeights,
        StateDict,
    },
};

use super::{
    Result,
    file::{self, Array, Arrays, DTYPES},
    inputs::Inputs,
    json::Fields,
};

/// What calls a layer.
#[derive(Debug)]
enum Kind {
    Mha { sizes: Heads, give: ReturnWeights },
    EncoderLayer(LayerConfig),
}

/// A layer, what it reads and what it is called with.
#[derive(Debug)]
pub(super) struct Module {
    kind: Kind,
    batch: u32,
    /// Sizes and numbers: query, key and value, or the source alone.
    sequences: Vec<([u32; 3], Vec<f32>)>,
    /// State dict.
    tensors: Vec<Named>,
    padding: Option<Vec<bool>>,
    mask: Option<Masked>,
    /// Shapes of out and of the weights.
    shapes: [Vec<usize>; 2],
}

#[derive(Debug)]
enum Masked {
    Ignored(Vec<bool>),
    Added(Vec<f32>),
}

pub(super) fn mha(json: &mut Fields, inputs: &mut Inputs<'_>, outputs: &[String]) -> Result<Module> {
    json.word("dtype", &DTYPES)?;
    let sizes = Heads {
        embed_dim: json.count("embed_dim")?,
        heads: json.count("heads")?,
        kdim: json.count("kdim")?,
        vdim: json.count("vdim")?,
    };
    let biased = json.flag("bias")?;
    let (wanted, mean) = (json.flag("need_weights")?, json.flag("average_attn_weights")?);
    let give = match (wanted, mean) {
        (false, _) => ReturnWeights::None,
        (true, true) => ReturnWeights::Mean,
        (true, false) => ReturnWeights::EachHead,
    };
    let sequences = [("query", sizes.embed_dim), ("key", sizes.kdim), ("value", sizes.vdim)];
    let sequences = sequences.map(|(name, width)| sequence(inputs, name, width));
    let sequences = sequences.into_iter().collect::<Result<Vec<_>>>()?;
    let ([batch, q_len, width], [_, kv_len, _]) = (sequences[0].0, sequences[1].0);
    let out = [batch, q_len, width].map(|size| size as usize).to_vec();
    let weights = match give {
        ReturnWeights::EachHead => vec![batch, sizes.heads, q_len, kv_len],
        _ => vec![batch, q_len, kv_len],
    };
    let weights = weights.into_iter().map(|size| size as usize).collect();
    known(outputs, if wanted { &["out", "weights"] } else { &["out"] })?;
    let [padding, mask] = ["key_padding_mask", "attn_mask"];
    let padding = bools(inputs, padding, &[batch, kv_len])?;
    let mask = masked(inputs, mask, [batch.saturating_mul(sizes.heads), q_len, kv_len])?;
    let tensors = state_dict(inputs)?;
    if biased != tensors.iter().any(|(name, ..)| name == "in_proj_bias") {
        return Err(format!("bias is {biased}, unlike the tensors").into());
    }
    Ok(Module { kind: Kind::Mha { sizes, give }, batch, sequences, tensors, padding, mask, shapes: [out, weights] })
}

pub(super) fn encoder_layer(json: &mut Fields, inputs: &mut Inputs<'_>, outputs: &[String]) -> Result<Module> {
    json.word("dtype", &DTYPES)?;
    let config = LayerConfig {
        embed_dim: json.count("embed_dim")?,
        heads: json.count("heads")?,
        ff_dim: json.count("ff_dim")?,
        activation: json.word("activation", &[("relu", Activation::Relu), ("gelu", Activation::Gelu)])?,
        norm_first: json.flag("norm_first")?,
        epsilon: json.number("layer_norm_eps")? as f32,
    };
    let source = sequence(inputs, "src", config.embed_dim)?;
    let [batch, len, width] = source.0;
    known(outputs, &["out"])?;
    let padding = bools(inputs, "src_key_padding_mask", &[batch, len])?;
    let mask = masked(inputs, "src_mask", [batch.saturating_mul(config.heads), len, len])?;
    let shapes = [[batch, len, width].map(|size| size as usize).to_vec(), Vec::new()];
    let (kind, sequences) = (Kind::EncoderLayer(config), vec![source]);
    Ok(Module { kind, batch, sequences, tensors: state_dict(inputs)?, padding, mask, shapes })
}

fn known(outputs: &[String], known: &[&str]) -> Result<()> {
    match outputs.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("output {name} is unknown").into()),
        None => Ok(()),
    }
}

fn sequence(inputs: &mut Inputs<'_>, name: &str, width: u32) -> Result<([u32; 3], Vec<f32>)> {
    let view = inputs.need(name)?;
    let sizes: Option<Vec<u32>> = view.shape().iter().map(|&size| u32::try_from(size).ok()).collect();
    match sizes.as_deref() {
        Some(&[batch, len, found]) if found == width => Ok(([batch, len, width], file::any_floats(&view)?)),
        _ => Err(format!("{name} is {:?}, not [batch, len, {width}]", view.shape()).into()),
    }
}

fn bools(inputs: &mut Inputs<'_>, name: &str, shape: &[u32]) -> Result<Option<Vec<bool>>> {
    Ok(inputs.shaped(name, Dtype::BOOL, &[shape])?.map(|view| file::bools(&view)))
}

/// `[q_len, kv_len]`, or that of each head of each batch item.
fn masked(inputs: &mut Inputs<'_>, name: &str, all: [u32; 3]) -> Result<Option<Masked>> {
    let Some(view) = inputs.take(name)? else { return Ok(None) };
    let sizes = all.map(|size| size as usize);
    if view.shape() != &sizes[1..] && view.shape() != sizes {
        return Err(format!("{name} is {:?}, not {:?} or {sizes:?}", view.shape(), &sizes[1..]).into());
    }
    Ok(Some(match view.dtype() {
        Dtype::BOOL => Masked::Ignored(file::bools(&view)),
        _ => Masked::Added(file::any_floats(&view)?),
    }))
}

/// Name, shape and numbers of a tensor.
type Named = (String, Vec<usize>, Vec<f32>);

/// All that is left, by the names of a state dict.
fn state_dict(inputs: &mut Inputs<'_>) -> Result<Vec<Named>> {
    let read = |name: String, view: TensorView<'_>| {
        let floats = file::any_floats(&view)?;
        Ok((dotted(&name).into_owned(), view.shape().to_vec(), floats))
    };
    let names = inputs.left.clone();
    names.into_iter().map(|name| read(name.clone(), inputs.need(&name)?)).collect()
}

/// The dots that the names of a case have as underlines.
fn dotted(name: &str) -> Cow<'_, str> {
    let name = name.strip_prefix("self_attn_").map_or(Cow::Borrowed(name), |rest| format!("self_attn.{rest}").into());
    let parts = ["out_proj_", "linear1_", "linear2_", "norm1_", "norm2_"];
    match parts.iter().find_map(|part| Some((part, name.split_once(part)?))) {
        Some((part, (before, after))) => format!("{before}{}.{after}", part.trim_end_matches('_')).into(),
        None => name,
    }
}

impl Module {
    pub(super) fn out_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    pub(super) fn run(&self, gpu: &Gpu) -> Result<Arrays> {
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|(name, shape, data)| (name.as_str(), shape.as_slice(), data.as_slice()));
        let mut weights = StateDict::of(gpu.attention(), tensors)?;
        let mut graph = Graph::new(gpu.attention());
        let values: Vec<Node> = self
            .sequences
            .iter()
            .map(|([batch, len, width], data)| graph.constant(batch.saturating_mul(*len), *width, DType::F32, data))
            .collect();
        let attended = self.forward(&mut graph, &mut weights, &values)?;
        weights.finish()?;
        let model = {
            graph.keep(attended.out);
            attended.weights.map(|weights| graph.keep(weights));
            graph.compile()?
        };
        let mut encoder =
            gpu.device().create_command_encoder(&wgpu_attention::wgpu::CommandEncoderDescriptor::default());
        model.encode(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
        let named = [("out", Some(attended.out)), ("weights", attended.weights)];
        let read = |((name, value), shape): ((&str, Option<Node>), &Vec<usize>)| {
            let Some(value) = value else { return Ok(None) };
            let data = gpu.read(model.buffer(value)?)?;
            Ok(Some((name.to_string(), Array { shape: shape.clone(), data })))
        };
        named.into_iter().zip(&self.shapes).filter_map(|named| read(named).transpose()).collect()
    }

    fn forward(&self, graph: &mut Graph, weights: &mut StateDict<'_>, values: &[Node]) -> Result<Attended> {
        let mut options = CallOptions::of(self.batch);
        if let Some(padding) = &self.padding {
            options = options.key_padding_mask(padding);
        }
        match &self.mask {
            Some(Masked::Ignored(mask)) => options = options.attn_mask(mask),
            Some(Masked::Added(mask)) => options = options.attn_bias(mask),
            None => {}
        }
        Ok(match (&self.kind, values) {
            (Kind::Mha { sizes, give }, &[q, k, v]) => {
                let layer = MultiHeadAttention::load(weights, "", *sizes)?;
                layer.forward(graph, [q, k, v], &options.weights(*give), None)?
            }
            (Kind::EncoderLayer(config), &[x]) => {
                EncoderLayer::load(weights, "", config)?.forward(graph, x, &options)?
            }
            _ => return Err("the sequences are not those of the op".into()),
        })
    }
}
