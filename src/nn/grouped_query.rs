//! Grouped-query attention with rotary embedding over a cache, as current decoder models have it (Ainslie et al. 2023; Su et al. 2021).

use crate::{
    error::Error,
    nn::{
        graph::{Graph, Node},
        layers::Linear,
        state_dict::StateDict,
    },
    problem::{
        attention::{
            mask::{Align, Mask},
            shape::Shape,
            spec::Spec,
        },
        linear::Activation,
        rope::{Angles, Rotary},
    },
    tensor::{Tensor, dtype::DType, layout::Order},
};

/// Sizes of a [`GroupedQueryAttention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupedHeads {
    /// Elements of a token.
    pub embed_dim: u32,
    /// Query heads.
    pub heads: u32,
    /// Key heads, which share the query heads evenly.
    pub kv_heads: u32,
    /// Elements of a head.
    pub head_dim: u32,
}

/// A cache on the device, the caller's from call to call.
#[derive(Clone, Copy, Debug)]
pub struct GroupedCache {
    /// Keys `[batch, kv_heads, capacity, head_dim]`, as `[batch * kv_heads * capacity, head_dim]`.
    pub keys: Node,
    /// Values, alike.
    pub values: Node,
    /// Tokens that each batch item has so far, `[1, batch]` u32.
    pub lens: Node,
}

/// Projections to heads, rotary embedding of queries and keys, causal attention over a cache, and a projection back.
#[derive(Clone, Debug)]
pub struct GroupedQueryAttention {
    sizes: GroupedHeads,
    rotary: Rotary,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
}

impl GroupedQueryAttention {
    /// From a state dict with `q_proj`, `k_proj`, `v_proj` and `o_proj`, each after `prefix`. `rotary` says which elements turn; its angles must be
    /// [`Angles::Appended`].
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, sizes: GroupedHeads, rotary: Rotary) -> Result<Self, Error> {
        if !matches!(rotary.angles, Angles::Appended { .. }) {
            return Err(Error::Conflict { a: "a cache", b: "angles other than those of appended keys" });
        }
        let GroupedHeads { embed_dim, heads, kv_heads, head_dim } = sizes;
        let wide = |heads: u32| heads.checked_mul(head_dim).ok_or(Error::Overflow { name: "heads" });
        let (q, kv) = (wide(heads)?, wide(kv_heads)?);
        let mut linear =
            |name: &str, outputs, inputs| Linear::load(weights, &format!("{prefix}{name}"), outputs, inputs);
        Ok(Self {
            sizes,
            rotary,
            q: linear("q_proj", q, embed_dim)?,
            k: linear("k_proj", kv, embed_dim)?,
            v: linear("v_proj", kv, embed_dim)?,
            out: linear("o_proj", embed_dim, q)?,
        })
    }

    /// Room for `capacity` tokens of each batch item.
    #[must_use]
    pub fn cache(&self, graph: &mut Graph, [batch, capacity]: [u32; 2]) -> GroupedCache {
        let rows = batch.saturating_mul(self.sizes.kv_heads).saturating_mul(capacity);
        let mut room = || graph.input(rows, self.sizes.head_dim, DType::F32);
        GroupedCache { keys: room(), values: room(), lens: graph.input(1, batch, DType::U32) }
    }

    /// Adds the next `len` tokens of each batch item to the graph: `x [batch * len, embed_dim]`, appended behind the tokens that the cache
    /// has. `angles` are cosines and sines `[positions, rotary dim / 2]`. What is given as `residual` is added to the output.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: Node,
        (cache, angles): (&GroupedCache, [Node; 2]),
        residual: Option<Node>,
    ) -> Result<Node, Error> {
        let GroupedHeads { heads, kv_heads, head_dim, .. } = self.sizes;
        let batch = cache.lens.width;
        let (len, capacity) = (x.rows / batch.max(1), cache.keys.rows / batch.saturating_mul(kv_heads).max(1));
        x.check("x", batch * len, self.q.inputs)?;
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|linear| linear.forward(graph, x, Activation::None, None));
        let (q, k, v) = (q?, k?, v?);
        let mixed = graph.node(x.rows, heads * head_dim, DType::F32);
        let over = [(Tensor::Q, q), (Tensor::K, cache.keys), (Tensor::V, cache.values), (Tensor::Out, mixed)];
        let angles = [(Tensor::Cos, angles[0]), (Tensor::Sin, angles[1])];
        let new = [(Tensor::NewK, k), (Tensor::NewV, v), (Tensor::KvLens, cache.lens), angles[0], angles[1]];
        graph.add(self.spec([batch, len, capacity]), &[over.as_slice(), &new].concat());
        self.out.forward(graph, mixed, Activation::None, residual)
    }

    /// Attention of new tokens over the cache: tokens beside each other in x, heads one after the other in the cache.
    fn spec(&self, [batch, q_len, kv_len]: [u32; 3]) -> Spec {
        let GroupedHeads { heads, kv_heads, head_dim, .. } = self.sizes;
        let shape = Shape { batch, q_heads: heads, kv_heads, q_len, kv_len, head_dim, value_dim: head_dim };
        let dense = Order::Bhsd.layout(kv_heads, kv_len, head_dim);
        let spec = Spec::new(shape).order(Order::Bshd).k_layout(dense).v_layout(dense);
        spec.mask(Mask::causal()).align(Align::End).append_rotated(q_len, self.rotary)
    }
}
