//! Layers as people meet them: multi-head attention, encoders, decoders, on the device from end to end (feature `nn`).
//!
//! A layer takes its parameters from a [`StateDict`], by the names that frameworks publish. Its `forward` adds its steps to a [`Graph`];
//! [`Graph::compile`] plans and binds them once, and the [`Model`] that comes of it records all of them into your encoder, any number
//! of times: one submission, nothing read back between steps.
//!
//! ```no_run
//! use wgpu_attention::{DType, Data, Gpu, nn};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gpu = Gpu::new()?;
//! let file = std::fs::read("model.safetensors")?;
//! let mut weights = nn::StateDict::of_file(gpu.attention(), &file)?;
//! let config = nn::LayerConfig::new(512, 8, 2048);
//! let encoder = nn::Encoder::load(&mut weights, "encoder.", 6, &config)?;
//! weights.finish()?; // what the file holds beside that would be an error
//!
//! let mut graph = nn::Graph::new(gpu.attention());
//! let x = graph.input(2 * 100, 512, DType::F32); // 2 sequences of 100 tokens
//! let (out, _) = encoder.forward(&mut graph, x, &nn::CallOptions::of(2))?;
//! let out = graph.keep(out);
//! let model = graph.compile()?;
//!
//! let hidden = model.run(&gpu, &[(x, Data::Floats(&[0.5; 2 * 100 * 512]))], &[out])?;
//! // or, in a program with an encoder of its own: model.encode(&mut encoder)
//! # Ok(())
//! # }
//! ```

mod decoder;
mod encoder;
mod graph;
mod grouped_query;
mod layers;
mod multi_head;
mod options;
mod state_dict;
mod transformer;

pub use crate::nn::{
    decoder::{Cache, Decoder, DecoderLayer},
    encoder::{Encoder, EncoderLayer, FeedForward, LayerConfig},
    graph::{Graph, Model, Node},
    grouped_query::{GroupedCache, GroupedHeads, GroupedQueryAttention},
    layers::{Embedding, LayerNorm, Linear, sinusoids},
    multi_head::{Attended, Heads, Measured, MultiHeadAttention},
    options::{CallOptions, ReturnWeights},
    state_dict::{Parameter, StateDict},
    transformer::{Generation, Transformer, TransformerConfig},
};
