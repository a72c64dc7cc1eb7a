//! Encoder layers and stacks of them (Vaswani et al. 2017, section 3.1).

use crate::{
    error::Error,
    nn::{
        graph::{Graph, Node},
        layers::{LayerNorm, Linear},
        multi_head::{Attended, Heads, MultiHeadAttention},
        options::CallOptions,
        state_dict::StateDict,
    },
    problem::linear::Activation,
};

/// Sizes and kind of an encoder or decoder layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerConfig {
    /// Elements of a token.
    pub embed_dim: u32,
    /// Heads of each attention.
    pub heads: u32,
    /// Elements between the two linear layers of the feed-forward part.
    pub ff_dim: u32,
    /// Between the two.
    pub activation: Activation,
    /// Norms stand before what they belong to (pre-norm, Xiong et al. 2020), not after its residual (post-norm).
    pub norm_first: bool,
    /// Added to the variance by norms.
    pub epsilon: f32,
}

impl LayerConfig {
    /// As in Vaswani et al. 2017: relu, post-norm, epsilon 1e-5.
    #[must_use]
    pub const fn new(embed_dim: u32, heads: u32, ff_dim: u32) -> Self {
        Self { embed_dim, heads, ff_dim, activation: Activation::Relu, norm_first: false, epsilon: 1e-5 }
    }
}

/// The feed-forward part: two linear layers and an activation.
#[derive(Clone, Debug)]
pub struct FeedForward {
    /// To `ff_dim` elements.
    pub up: Linear,
    /// And back.
    pub down: Linear,
    /// Between.
    pub activation: Activation,
}

impl FeedForward {
    /// Adds `down(activation(up(x))) + residual` to the graph.
    pub fn forward(&self, graph: &mut Graph, x: Node, residual: Option<Node>) -> Result<Node, Error> {
        let wide = self.up.forward(graph, x, self.activation, None)?;
        self.down.forward(graph, wide, Activation::None, residual)
    }
}

/// A part of a layer with its residual and its norm, before or after it.
#[derive(Clone, Debug)]
pub(super) struct Wrapped {
    pub(super) norm: LayerNorm,
    pub(super) norm_first: bool,
}

impl Wrapped {
    /// `x + part(norm(x))` or `norm(x + part(x))`; the part adds the residual that it is handed.
    pub(super) fn around<T>(
        &self,
        graph: &mut Graph,
        x: Node,
        part: impl FnOnce(&mut Graph, Node) -> Result<(Node, T), Error>,
    ) -> Result<(Node, T), Error> {
        let input = if self.norm_first { self.norm.forward(graph, x)? } else { x };
        let (y, beside) = part(graph, input)?;
        Ok((if self.norm_first { y } else { self.norm.forward(graph, y)? }, beside))
    }
}

/// One layer: self-attention and a feed-forward part, each with a residual and a norm.
#[derive(Clone, Debug)]
pub struct EncoderLayer {
    attention: MultiHeadAttention,
    feed_forward: FeedForward,
    norms: [Wrapped; 2],
}

impl EncoderLayer {
    /// From a state dict as `torch.nn.TransformerEncoderLayer` has it: `self_attn.*`, `linear1`, `linear2`, `norm1`, `norm2`, each after
    /// `prefix`.
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, config: &LayerConfig) -> Result<Self, Error> {
        let LayerConfig { embed_dim, heads, ff_dim, activation, .. } = *config;
        let name = |part: &str| format!("{prefix}{part}");
        let attention = MultiHeadAttention::load(weights, &name("self_attn."), Heads::new(embed_dim, heads))?;
        let up = Linear::load(weights, &name("linear1"), ff_dim, embed_dim)?;
        let down = Linear::load(weights, &name("linear2"), embed_dim, ff_dim)?;
        let mut norm = |part: &str| LayerNorm::load(weights, &name(part), embed_dim, config.epsilon);
        let norms = [norm("norm1")?, norm("norm2")?];
        Ok(Self::of(attention, FeedForward { up, down, activation }, norms, config.norm_first))
    }

    /// Of parts by other names.
    #[must_use]
    pub fn of(
        attention: MultiHeadAttention,
        feed_forward: FeedForward,
        norms: [LayerNorm; 2],
        norm_first: bool,
    ) -> Self {
        Self { attention, feed_forward, norms: norms.map(|norm| Wrapped { norm, norm_first }) }
    }

    /// Adds the layer to the graph: `x [batch * len, embed_dim]`, and out alike.
    pub fn forward(&self, graph: &mut Graph, x: Node, options: &CallOptions) -> Result<Attended, Error> {
        let [first, second] = &self.norms;
        let (x, attended) = first.around(graph, x, |graph, y| {
            let attended = self.attention.forward(graph, [y; 3], options, Some(x))?;
            Ok((attended.out, attended))
        })?;
        let (out, ()) = second.around(graph, x, |graph, y| Ok((self.feed_forward.forward(graph, y, Some(x))?, ())))?;
        Ok(Attended { out, ..attended })
    }
}

/// Layers one after the other, and a norm after them if there is one.
#[derive(Clone, Debug)]
pub struct Encoder {
    layers: Vec<EncoderLayer>,
    norm: Option<LayerNorm>,
}

impl Encoder {
    /// From a state dict as `torch.nn.TransformerEncoder` has it: `layers.0.*` and so on, `norm` if it is there.
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, layers: u32, config: &LayerConfig) -> Result<Self, Error> {
        let layer = |n: u32| EncoderLayer::load(weights, &format!("{prefix}layers.{n}."), config);
        let layers = (0..layers).map(layer).collect::<Result<_, _>>()?;
        Ok(Self { layers, norm: final_norm(weights, prefix, config)? })
    }

    /// Of layers by other names.
    #[must_use]
    pub fn of(layers: Vec<EncoderLayer>, norm: Option<LayerNorm>) -> Self {
        Self { layers, norm }
    }

    /// How many layers.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Adds all layers to the graph; gives the output `[batch * len, embed_dim]`, and what each layer gave.
    pub fn forward(
        &self,
        graph: &mut Graph,
        mut x: Node,
        options: &CallOptions,
    ) -> Result<(Node, Vec<Attended>), Error> {
        let mut all = Vec::new();
        for layer in &self.layers {
            let attended = layer.forward(graph, x, options)?;
            x = attended.out;
            all.push(attended);
        }
        let out = self.norm.as_ref().map_or(Ok(x), |norm| norm.forward(graph, x))?;
        Ok((out, all))
    }
}

/// The norm after all layers, where the file has it.
pub(super) fn final_norm(
    weights: &mut StateDict<'_>,
    prefix: &str,
    config: &LayerConfig,
) -> Result<Option<LayerNorm>, Error> {
    let name = format!("{prefix}norm");
    let there = weights.has(&format!("{name}.weight"));
    if there { LayerNorm::load(weights, &name, config.embed_dim, config.epsilon).map(Some) } else { Ok(None) }
}
