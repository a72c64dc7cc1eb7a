//! Decoder layers and stacks of them, whole sequences at once or token by token over caches (Vaswani et al. 2017, section 3.1).

use crate::{
    error::Error,
    nn::{
        encoder::{FeedForward, LayerConfig, Wrapped, final_norm},
        layers::{LayerNorm, Linear},
        multi_head::{Attended, Heads, MultiHeadAttention},
        options::CallOptions,
        tape::{Tape, Value},
        weights::Weights,
    },
    tensor::dtype::DType,
};

/// Keys and values that a decoder layer has seen, on the device: what makes the next token cost one row.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// Projected keys and values of the tokens so far, `[batch * capacity, embed_dim]` each.
    own: [Value; 2],
    /// Those of the memory, `[batch * memory_len, embed_dim]` each.
    memory: [Value; 2],
}

/// Causal self-attention, attention over an encoder's memory, and a feed-forward part, each with a residual and a norm.
#[derive(Clone, Debug)]
pub struct DecoderLayer {
    own: MultiHeadAttention,
    cross: MultiHeadAttention,
    feed_forward: FeedForward,
    norms: [Wrapped; 3],
}

impl DecoderLayer {
    /// From a state dict as `torch.nn.TransformerDecoderLayer` has it: `self_attn.*`, `multihead_attn.*`, `linear1`, `linear2`, `norm1` to
    /// `norm3`, each after `prefix`.
    pub fn load(weights: &mut Weights<'_>, prefix: &str, config: &LayerConfig) -> Result<Self, Error> {
        let LayerConfig { embed_dim, heads, ff_dim, activation, norm_first, epsilon } = *config;
        let name = |part: &str| format!("{prefix}{part}");
        let heads = Heads::new(embed_dim, heads);
        let own = MultiHeadAttention::load(weights, &name("self_attn."), heads)?;
        let cross = MultiHeadAttention::load(weights, &name("multihead_attn."), heads)?;
        let up = Linear::load(weights, &name("linear1"), ff_dim, embed_dim)?;
        let down = Linear::load(weights, &name("linear2"), embed_dim, ff_dim)?;
        let mut norm = |part: &str| {
            let norm = LayerNorm::load(weights, &name(part), embed_dim, epsilon)?;
            Ok::<_, Error>(Wrapped { norm, norm_first })
        };
        let norms = [norm("norm1")?, norm("norm2")?, norm("norm3")?];
        Ok(Self { own, cross, feed_forward: FeedForward { up, down, activation }, norms })
    }

    /// Adds the layer to the tape: `x [batch * len, embed_dim]` over `memory [batch * memory_len, embed_dim]`. `own` says what tokens see of
    /// each other, usually [`CallOptions::causal`]; `cross` what they see of the memory, whose weights are given where it asks for them.
    pub fn record(
        &self,
        tape: &mut Tape,
        [x, memory]: [Value; 2],
        [own, cross]: [&CallOptions; 2],
    ) -> Result<Attended, Error> {
        let memory = self.cross.keys_and_values(tape, [memory; 2])?;
        let attend = |tape: &mut Tape, y, x| Ok(self.own.record(tape, [y; 3], own, Some(x))?.out);
        self.rest(tape, x, attend, (memory, cross))
    }

    /// Projects the memory and makes room for `capacity` tokens, once for each memory.
    pub fn cache(&self, tape: &mut Tape, memory: Value, [batch, capacity]: [u32; 2]) -> Result<Cache, Error> {
        let rows = batch.checked_mul(capacity).ok_or(Error::Overflow { name: "cache" })?;
        let memory = self.cross.keys_and_values(tape, [memory; 2])?;
        let mut own = || tape.input(rows, self.own.embed_dim(), DType::F32);
        Ok(Cache { own: [own(), own()], memory: memory.map(|value| tape.keep(value)) })
    }

    /// Adds the layer over the next token of each batch item to the tape: `x [batch, embed_dim]`. It appends to the cache behind the
    /// `lens [batch]` u32 tokens that the device finds there.
    pub fn record_next(
        &self,
        tape: &mut Tape,
        x: Value,
        (cache, lens): (&Cache, Value),
        cross: &CallOptions,
    ) -> Result<Attended, Error> {
        let attend = |tape: &mut Tape, y, x| self.own.record_next(tape, y, (cache.own, lens), x);
        self.rest(tape, x, attend, (cache.memory, cross))
    }

    /// The layer around its self-attention.
    fn rest(
        &self,
        tape: &mut Tape,
        x: Value,
        attend: impl FnOnce(&mut Tape, Value, Value) -> Result<Value, Error>,
        (memory, cross): ([Value; 2], &CallOptions),
    ) -> Result<Attended, Error> {
        let [first, second, third] = &self.norms;
        let (x, ()) = first.around(tape, x, |tape, y| Ok((attend(tape, y, x)?, ())))?;
        let (x, attended) = second.around(tape, x, |tape, y| {
            let attended = self.cross.record_over(tape, y, memory, cross, Some(x))?;
            Ok((attended.out, attended))
        })?;
        let (out, ()) = third.around(tape, x, |tape, y| Ok((self.feed_forward.record(tape, y, Some(x))?, ())))?;
        Ok(Attended { out, ..attended })
    }
}

/// Layers one after the other, and a norm after them if there is one.
#[derive(Clone, Debug)]
pub struct Decoder {
    layers: Vec<DecoderLayer>,
    norm: Option<LayerNorm>,
}

impl Decoder {
    /// From a state dict as `torch.nn.TransformerDecoder` has it: `layers.0.*` and so on, `norm` if it is there.
    pub fn load(weights: &mut Weights<'_>, prefix: &str, layers: u32, config: &LayerConfig) -> Result<Self, Error> {
        let layer = |n: u32| DecoderLayer::load(weights, &format!("{prefix}layers.{n}."), config);
        let layers = (0..layers).map(layer).collect::<Result<_, _>>()?;
        Ok(Self { layers, norm: final_norm(weights, prefix, config)? })
    }

    /// Adds all layers to the tape, as [`DecoderLayer::record`]; gives the output, and what each layer gave over the memory.
    pub fn record(
        &self,
        tape: &mut Tape,
        [x, memory]: [Value; 2],
        sights: [&CallOptions; 2],
    ) -> Result<(Value, Vec<Attended>), Error> {
        self.each(tape, x, |tape, _, layer, x| layer.record(tape, [x, memory], sights))
    }

    /// The caches of all layers.
    pub fn caches(&self, tape: &mut Tape, memory: Value, sizes: [u32; 2]) -> Result<Vec<Cache>, Error> {
        self.layers.iter().map(|layer| layer.cache(tape, memory, sizes)).collect()
    }

    /// Adds all layers over the next token to the tape, as [`DecoderLayer::record_next`].
    pub fn record_next(
        &self,
        tape: &mut Tape,
        x: Value,
        (caches, lens): (&[Cache], Value),
        cross: &CallOptions,
    ) -> Result<(Value, Vec<Attended>), Error> {
        if caches.len() != self.layers.len() {
            return Err(Error::Input { name: "caches", got: caches.len(), needs: self.layers.len() });
        }
        self.each(tape, x, |tape, n, layer, x| layer.record_next(tape, x, (&caches[n], lens), cross))
    }

    fn each(
        &self,
        tape: &mut Tape,
        mut x: Value,
        record: impl Fn(&mut Tape, usize, &DecoderLayer, Value) -> Result<Attended, Error>,
    ) -> Result<(Value, Vec<Attended>), Error> {
        let mut all = Vec::new();
        for (n, layer) in self.layers.iter().enumerate() {
            let attended = record(tape, n, layer, x)?;
            x = attended.out;
            all.push(attended);
        }
        let out = self.norm.as_ref().map_or(Ok(x), |norm| norm.record(tape, x))?;
        Ok((out, all))
    }
}
