//! Layers as people meet them: multi-head attention, encoders, decoders, on the device from end to end (feature `nn`).
//!
//! A layer holds [`Weights`] by the names of published state dicts. It adds its steps to a [`Tape`]; [`Tape::finish`] plans and binds
//! them once, and the [`Forward`] that comes of it records all of them into your encoder, any number of times: one submission,
//! nothing read back between steps.
//!
//! ```no_run
//! use wgpu_attention::{DType, Gpu, nn};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gpu = Gpu::new()?;
//! let file = std::fs::read("model.safetensors")?;
//! let mut weights = nn::Weights::of_file(gpu.attention(), &file)?;
//! let config = nn::LayerConfig::new(512, 8, 2048);
//! let encoder = nn::Encoder::load(&mut weights, "encoder.", 6, &config)?;
//! weights.finish()?; // what the file holds beside that would be an error
//!
//! let mut tape = nn::Tape::new(gpu.attention());
//! let x = tape.input(2 * 100, 512, DType::F32); // 2 sequences of 100 tokens
//! let (out, _) = encoder.record(&mut tape, x, &nn::CallOptions::of(2))?;
//! let out = tape.keep(out);
//! let forward = tape.finish()?;
//!
//! gpu.queue().write_buffer(forward.buffer(x), 0, bytemuck::cast_slice(&[0.5f32; 2 * 100 * 512]));
//! let mut encoder = gpu.device().create_command_encoder(&Default::default());
//! forward.encode(&mut encoder);
//! gpu.queue().submit([encoder.finish()]);
//! let hidden: Vec<f32> = gpu.read(forward.buffer(out))?;
//! # Ok(())
//! # }
//! ```

mod decoder;
mod encoder;
mod grouped_query;
mod layers;
mod multi_head;
mod options;
mod tape;
mod transformer;
mod weights;

pub use crate::nn::{
    decoder::{Cache, Decoder, DecoderLayer},
    encoder::{Encoder, EncoderLayer, FeedForward, LayerConfig},
    grouped_query::{GroupedCache, GroupedHeads, GroupedQueryAttention, rotary_angles},
    layers::{Embedding, LayerNorm, Linear, sinusoids},
    multi_head::{Attended, Heads, Measured, MultiHeadAttention},
    options::{CallOptions, ReturnWeights},
    tape::{Forward, Tape, Value},
    transformer::{Generation, Transformer, TransformerConfig},
    weights::{Parameter, Weights},
};
