//! Decoder layers and stacks of them, whole sequences at once or token by token over caches (Vaswani et al. 2017, section 3.1).

use crate::{
    error::Error,
    nn::{
        encoder::{FeedForward, LayerConfig, Wrapped, final_norm},
        graph::{Graph, Node},
        layers::{LayerNorm, Linear},
        multi_head::{Attended, Heads, MultiHeadAttention},
        options::CallOptions,
        state_dict::StateDict,
    },
    tensor::dtype::DType,
};

/// Keys and values that a decoder layer has seen, on the device: what makes the next token cost one row.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// Projected keys and values of the tokens so far, `[batch * capacity, embed_dim]` each.
    own: [Node; 2],
    /// Those of the memory, `[batch * memory_len, embed_dim]` each.
    memory: [Node; 2],
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
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, config: &LayerConfig) -> Result<Self, Error> {
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

    /// Adds the layer to the graph: `x [batch * len, embed_dim]` over `memory [batch * memory_len, embed_dim]`. `own` says what tokens see of
    /// each other, usually [`CallOptions::causal`]; `cross` what they see of the memory, whose weights are given where it asks for them.
    pub fn forward(
        &self,
        graph: &mut Graph,
        [x, memory]: [Node; 2],
        [own, cross]: [&CallOptions; 2],
    ) -> Result<Attended, Error> {
        let memory = self.cross.keys_and_values(graph, [memory; 2])?;
        let attend = |graph: &mut Graph, y, x| Ok(self.own.forward(graph, [y; 3], own, Some(x))?.out);
        self.rest(graph, x, attend, (memory, cross))
    }

    /// Projects the memory and makes room for `capacity` tokens, once for each memory.
    pub fn cache(&self, graph: &mut Graph, memory: Node, [batch, capacity]: [u32; 2]) -> Result<Cache, Error> {
        let rows = batch.checked_mul(capacity).ok_or(Error::Overflow { name: "cache" })?;
        let memory = self.cross.keys_and_values(graph, [memory; 2])?;
        let mut own = || graph.input(rows, self.own.embed_dim(), DType::F32);
        Ok(Cache { own: [own(), own()], memory: memory.map(|value| graph.keep(value)) })
    }

    /// Adds the layer over the next token of each batch item to the graph: `x [batch, embed_dim]`. It appends to the cache behind the
    /// `lens [batch]` u32 tokens that the device finds there.
    pub fn forward_next(
        &self,
        graph: &mut Graph,
        x: Node,
        (cache, lens): (&Cache, Node),
        cross: &CallOptions,
    ) -> Result<Attended, Error> {
        let attend = |graph: &mut Graph, y, x| self.own.forward_next(graph, y, (cache.own, lens), x);
        self.rest(graph, x, attend, (cache.memory, cross))
    }

    /// The layer around its self-attention.
    fn rest(
        &self,
        graph: &mut Graph,
        x: Node,
        attend: impl FnOnce(&mut Graph, Node, Node) -> Result<Node, Error>,
        (memory, cross): ([Node; 2], &CallOptions),
    ) -> Result<Attended, Error> {
        let [first, second, third] = &self.norms;
        let (x, ()) = first.around(graph, x, |graph, y| Ok((attend(graph, y, x)?, ())))?;
        let (x, attended) = second.around(graph, x, |graph, y| {
            let attended = self.cross.forward_over(graph, y, memory, cross, Some(x))?;
            Ok((attended.out, attended))
        })?;
        let (out, ()) = third.around(graph, x, |graph, y| Ok((self.feed_forward.forward(graph, y, Some(x))?, ())))?;
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
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, layers: u32, config: &LayerConfig) -> Result<Self, Error> {
        let layer = |n: u32| DecoderLayer::load(weights, &format!("{prefix}layers.{n}."), config);
        let layers = (0..layers).map(layer).collect::<Result<_, _>>()?;
        Ok(Self { layers, norm: final_norm(weights, prefix, config)? })
    }

    /// Adds all layers to the graph, as [`DecoderLayer::forward`]; gives the output, and what each layer gave over the memory.
    pub fn forward(
        &self,
        graph: &mut Graph,
        [x, memory]: [Node; 2],
        options: [&CallOptions; 2],
    ) -> Result<(Node, Vec<Attended>), Error> {
        self.each(graph, x, |graph, _, layer, x| layer.forward(graph, [x, memory], options))
    }

    /// The caches of all layers.
    pub fn caches(&self, graph: &mut Graph, memory: Node, sizes: [u32; 2]) -> Result<Vec<Cache>, Error> {
        self.layers.iter().map(|layer| layer.cache(graph, memory, sizes)).collect()
    }

    /// Adds all layers over the next token to the graph, as [`DecoderLayer::forward_next`].
    pub fn forward_next(
        &self,
        graph: &mut Graph,
        x: Node,
        (caches, lens): (&[Cache], Node),
        cross: &CallOptions,
    ) -> Result<(Node, Vec<Attended>), Error> {
        if caches.len() != self.layers.len() {
            return Err(Error::Input { name: "caches", got: caches.len(), needs: self.layers.len() });
        }
        self.each(graph, x, |graph, n, layer, x| layer.forward_next(graph, x, (&caches[n], lens), cross))
    }

    fn each(
        &self,
        graph: &mut Graph,
        mut x: Node,
        forward: impl Fn(&mut Graph, usize, &DecoderLayer, Node) -> Result<Attended, Error>,
    ) -> Result<(Node, Vec<Attended>), Error> {
        let mut all = Vec::new();
        for (n, layer) in self.layers.iter().enumerate() {
            let attended = forward(graph, n, layer, x)?;
            x = attended.out;
            all.push(attended);
        }
        let out = self.norm.as_ref().map_or(Ok(x), |norm| norm.forward(graph, x))?;
        Ok((out, all))
    }
}
