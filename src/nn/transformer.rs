//! The encoder-decoder of Vaswani et al. 2017: embeddings, positions, both stacks, output projection.

use crate::{
    device::{memory::stored_floats, plan::Attention},
    error::Error,
    nn::{
        decoder::Decoder,
        encoder::{Encoder, LayerConfig},
        graph::{Graph, Model, Node},
        layers::{Embedding, Linear, sinusoids},
        multi_head::Attended,
        options::{CallOptions, ReturnWeights},
        state_dict::StateDict,
    },
    problem::linear::Activation,
    tensor::dtype::DType,
};

/// Sizes of a [`Transformer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Of every layer.
    pub layer: LayerConfig,
    /// Layers of the encoder.
    pub encoder_layers: u32,
    /// Layers of the decoder.
    pub decoder_layers: u32,
    /// Tokens of the source language.
    pub source_vocabulary: u32,
    /// Tokens of the target language.
    pub target_vocabulary: u32,
    /// Most tokens of a sequence.
    pub positions: u32,
}

/// From tokens of one sequence to those of another.
#[derive(Clone, Debug)]
pub struct Transformer {
    source: Embedding,
    target: Embedding,
    encoder: Encoder,
    decoder: Decoder,
    generator: Linear,
}

impl Transformer {
    /// From a state dict with `source_embedding.weight`, `target_embedding.weight`, `encoder.*` and `decoder.*` as `torch.nn.Transformer` has
    /// them, and `generator.*`, each after `prefix`. Positions are sinusoids; the factor on embeddings must be in them.
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, config: &TransformerConfig) -> Result<Self, Error> {
        let (layer, dim) = (&config.layer, config.layer.embed_dim);
        let name = |part: &str| format!("{prefix}{part}");
        let mut table = |part: &str, count| Embedding::load(weights, &name(part), count, dim);
        let source = table("source_embedding", config.source_vocabulary)?;
        let target = table("target_embedding", config.target_vocabulary)?;
        let [source, target] =
            [source.sinusoidal(weights, config.positions)?, target.sinusoidal(weights, config.positions)?];
        let encoder = Encoder::load(weights, &name("encoder."), config.encoder_layers, layer)?;
        let decoder = Decoder::load(weights, &name("decoder."), config.decoder_layers, layer)?;
        let generator = Linear::load(weights, &name("generator"), config.target_vocabulary, dim)?;
        Ok(Self { source, target, encoder, decoder, generator })
    }

    /// Adds all of it to the graph: `source [batch * len]` and `target [batch * target_len]` u32 tokens to logits
    /// `[batch * target_len, target_vocabulary]`; and what each decoder layer gave over the source. The options
    /// are of the source, of the target ([`CallOptions::causal`], usually) and of the target on the source.
    pub fn forward(
        &self,
        graph: &mut Graph,
        [source, target]: [Node; 2],
        options: [&CallOptions; 3],
    ) -> Result<(Node, Vec<Attended>), Error> {
        let memory = self.encode(graph, source, options[0])?;
        let x = self.target.forward(graph, target, options[1].len("target", target.width)?);
        let (x, attended) = self.decoder.forward(graph, [x, memory], [options[1], options[2]])?;
        Ok((self.generator.forward(graph, x, Activation::None, None)?, attended))
    }

    fn encode(&self, graph: &mut Graph, source: Node, options: &CallOptions) -> Result<Node, Error> {
        let x = self.source.forward(graph, source, options.len("source", source.width)?);
        Ok(self.encoder.forward(graph, x, options)?.0)
    }

    /// Everything to translate one source of `len` tokens, token by token, up to `capacity` of them. The weights of each decoder layer over
    /// the source come with each token.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generation(&self, attention: &Attention, [len, capacity]: [u32; 2]) -> Result<Generation, Error> {
        pollster::block_on(self.generation_async(attention, [len, capacity]))
    }

    /// [`generation`](Self::generation) where one cannot block.
    pub async fn generation_async(&self, attention: &Attention, sizes: [u32; 2]) -> Result<Generation, Error> {
        let [len, capacity] = sizes;
        let mut graph = Graph::new(attention);
        let source = graph.input(1, len, DType::U32);
        let memory = self.encode(&mut graph, source, &CallOptions::of(1))?;
        let caches = self.decoder.caches(&mut graph, memory, [1, capacity])?;
        let first = graph.steps();
        let [token, lens] = [graph.input(1, 1, DType::U32), graph.input(1, 1, DType::U32)];
        let place = graph.input(1, self.target.dim, self.target.dtype());
        let x = self.target.forward_at(&mut graph, token, place);
        let options = CallOptions::of(1).weights(ReturnWeights::EachHead);
        let (x, attended) = self.decoder.forward_next(&mut graph, x, (&caches, lens), &options)?;
        let logits = self.generator.forward(&mut graph, x, Activation::None, None)?;
        let logits = graph.keep(logits);
        let weights = attended.into_iter().filter_map(|one| one.weights.map(|weights| graph.keep(weights))).collect();
        let model = graph.compile_async().await?; // which refuses a capacity that the device has no room for
        let places = sinusoids(capacity, self.target.dim);
        let places = stored_floats(&places, self.target.dtype()).into_owned();
        Ok(Generation { model, source, token, lens, place, logits, weights, places, first, capacity, done: 0 })
    }
}

/// A translation in the making: the source encoded once, each token from a row of its own over caches.
#[derive(Clone, Debug)]
pub struct Generation {
    model: Model,
    source: Node,
    token: Node,
    lens: Node,
    place: Node,
    logits: Node,
    weights: Vec<Node>,
    /// The positions of all tokens, as the device holds them.
    places: Vec<u8>,
    /// Where the steps of a token start.
    first: usize,
    capacity: u32,
    done: u32,
}

impl Generation {
    /// Records the encoding of a source, from the start. What is written to the queue is read by what is submitted next. Refused: another
    /// number of tokens.
    pub fn start(
        &mut self,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        source: &[u32],
    ) -> Result<(), Error> {
        if source.len() != self.source.width as usize {
            return Err(Error::Input { name: "source", got: source.len(), needs: self.source.width as usize });
        }
        self.done = 0;
        queue.write_buffer(self.model.own_buffer(self.source), 0, bytemuck::cast_slice(source));
        self.model.encode_steps(encoder, 0..self.first)
    }

    /// Records the next token: after it is submitted, [`logits`](Self::logits) are of the token that follows. Refused: more than
    /// the capacity.
    pub fn next(&mut self, queue: &wgpu::Queue, encoder: &mut wgpu::CommandEncoder, token: u32) -> Result<(), Error> {
        if self.done == self.capacity {
            let (got, max) = (u64::from(self.done) + 1, self.capacity.into());
            return Err(Error::TooLarge { name: "the number of tokens", got, max });
        }
        let row = self.places.len() / self.capacity as usize;
        let place = &self.places[self.done as usize * row..][..row];
        for (node, bytes) in
            [(self.token, bytemuck::bytes_of(&token)), (self.lens, bytemuck::bytes_of(&self.done)), (self.place, place)]
        {
            queue.write_buffer(self.model.own_buffer(node), 0, bytes);
        }
        self.done += 1;
        self.model.encode_steps(encoder, self.first..self.model.steps())
    }

    /// Logits of the next token, `[target_vocabulary]` f32.
    #[must_use]
    pub fn logits(&self) -> &wgpu::Buffer {
        self.model.own_buffer(self.logits)
    }

    /// Weights of the last token over the source, of each decoder layer: `[heads, len]` f32.
    #[must_use]
    pub fn weights(&self) -> Vec<&wgpu::Buffer> {
        self.weights.iter().map(|&weights| self.model.own_buffer(weights)).collect()
    }
}
