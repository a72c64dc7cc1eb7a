//! Multi-head attention (Vaswani et al. 2017, section 3.2.2).

use crate::{
    error::Error,
    inspect::{self, heads::Head},
    nn::{
        graph::{Graph, Node},
        layers::Linear,
        options::{CallOptions, ReturnWeights},
        state_dict::StateDict,
    },
    problem::{
        attention::{
            mask::{Align, Mask},
            shape::Shape,
            spec::Spec,
        },
        linear::Activation,
        measures::{MapOf, Measures, Pool, ROW_MEASURES},
        values::Outputs,
    },
    tensor::{
        Tensor,
        dtype::DType,
        layout::{Layout, Order},
    },
};

/// Streams have a projection of each for each batch item, for keys and for values: no more of them than a program has steps.
const MAX_STREAM_STEPS: u64 = 1 << 16;

/// Sizes of a [`MultiHeadAttention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Elements of a query and of an output; the heads share them evenly.
    pub embed_dim: u32,
    /// How many heads.
    pub heads: u32,
    /// Elements of a key before its projection.
    pub kdim: u32,
    /// Elements of a value before its projection.
    pub vdim: u32,
}

impl Heads {
    /// Keys and values as wide as queries.
    #[must_use]
    pub const fn new(embed_dim: u32, heads: u32) -> Self {
        Self { embed_dim, heads, kdim: embed_dim, vdim: embed_dim }
    }

    fn check(&self) -> Result<(), Error> {
        for (name, size) in [("heads", self.heads), ("embed_dim", self.embed_dim)] {
            if size == 0 {
                return Err(Error::Zero { name });
            }
        }
        if !self.embed_dim.is_multiple_of(self.heads) {
            return Err(Error::HeadDim { embed_dim: self.embed_dim, heads: self.heads });
        }
        Ok(())
    }
}

/// What a call of attention gives.
#[derive(Clone, Debug)]
pub struct Attended {
    /// `[batch * q_len, embed_dim]`.
    pub out: Node,
    /// Where [`CallOptions::weights`] asks for them.
    pub weights: Option<Node>,
    /// Where [`CallOptions::measured`] asks for them.
    pub measured: Option<Measured>,
}

/// Measures of a call's weights.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was measured.
    pub measures: Measures,
    /// `[batch * heads * q_len, 7]`.
    pub rows: Node,
    /// `[batch * heads, kv_len]`.
    pub received: Node,
}

impl Measured {
    /// The heads, of what the device wrote to [`rows`](Self::rows).
    #[must_use]
    pub fn heads(&self, rows: &[f32]) -> Vec<Head> {
        let mut outputs = Outputs::default();
        outputs.set(Tensor::RowMeasures, rows.to_vec());
        inspect::heads(&self.measures, &outputs)
    }
}

/// Attention in several heads, each over projections of its own, and a projection of what they give: `torch.nn.MultiheadAttention` in
/// evaluation, batch first.
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    sizes: Heads,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
}

impl MultiHeadAttention {
    /// From a state dict: `in_proj_weight [3 embed_dim, embed_dim]`, or `q_proj_weight`, `k_proj_weight [embed_dim, kdim]` and
    /// `v_proj_weight [embed_dim, vdim]` where those differ; `in_proj_bias [3 embed_dim]` or none; `out_proj.weight` and `out_proj.bias`.
    /// `prefix` stands before the names, such as `self_attn.`.
    pub fn load(weights: &mut StateDict<'_>, prefix: &str, sizes: Heads) -> Result<Self, Error> {
        sizes.check()?;
        let Heads { embed_dim, kdim, vdim, .. } = sizes;
        let packed = kdim == embed_dim && vdim == embed_dim && !weights.has(&format!("{prefix}q_proj_weight"));
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{prefix}in_proj_{part}"));
        let [q, k, v] = if packed {
            weights.split(&weight, &[embed_dim.saturating_mul(3), embed_dim])?
        } else {
            let mut one =
                |name: &str, inputs| weights.take(&format!("{prefix}{name}_proj_weight"), &[embed_dim, inputs]);
            [one("q", embed_dim)?, one("k", kdim)?, one("v", vdim)?]
        };
        let [q_bias, k_bias, v_bias] = match weights.has(&bias) {
            true => weights.vectors(&bias, embed_dim.saturating_mul(3))?.map(Some),
            false => [None, None, None],
        };
        let linear = |weight, bias, inputs| Linear::of(weight, bias, [embed_dim, inputs]);
        let out = Linear::load(weights, &format!("{prefix}out_proj"), embed_dim, embed_dim)?;
        let (q, k, v) = (linear(q, q_bias, embed_dim), linear(k, k_bias, kdim), linear(v, v_bias, vdim));
        Ok(Self { sizes, q, k, v, out })
    }

    /// Of projections by other names.
    pub fn of(heads: u32, [q, k, v, out]: [Linear; 4]) -> Result<Self, Error> {
        let sizes = Heads { embed_dim: q.outputs, heads, kdim: k.inputs, vdim: v.inputs };
        sizes.check()?;
        for (name, linear) in [("key", &k), ("value", &v)] {
            if linear.outputs != q.outputs {
                return Err(Error::Node { name, what: "width", got: linear.outputs, wanted: q.outputs });
            }
        }
        Ok(Self { sizes, q, k, v, out })
    }

    /// Adds a call to the graph: `query [batch * q_len, embed_dim]`, `key [batch * kv_len, kdim]`, `value [batch * kv_len, vdim]`. What is
    /// given as `residual` is added to the output.
    pub fn forward(
        &self,
        graph: &mut Graph,
        [query, key, value]: [Node; 3],
        options: &CallOptions,
        residual: Option<Node>,
    ) -> Result<Attended, Error> {
        let kv = self.keys_and_values(graph, [key, value])?;
        self.forward_over(graph, query, kv, options, residual)
    }

    /// The projections of keys and values, which decoders keep.
    pub fn keys_and_values(&self, graph: &mut Graph, [key, value]: [Node; 2]) -> Result<[Node; 2], Error> {
        value.check("value", key.rows, self.v.inputs)?;
        let linear = |linear: &Linear, graph: &mut Graph, x| linear.forward(graph, x, Activation::None, None);
        Ok([linear(&self.k, graph, key)?, linear(&self.v, graph, value)?])
    }

    /// [`forward`](Self::forward) over several streams in one softmax: text and image patches, for instance, `[batch * len, kdim]` each, that
    /// serve as keys and as values. Their projections are written beside each other, so that nothing is copied; with `own`, each stream has
    /// projections of its own. Masks count the keys of all streams of a batch item, one stream after the other.
    pub fn forward_streams(
        &self,
        graph: &mut Graph,
        query: Node,
        (streams, own): (&[Node], Option<&[[Linear; 2]]>),
        options: &CallOptions,
        residual: Option<Node>,
    ) -> Result<Attended, Error> {
        if let Some(own) = own.filter(|own| own.len() != streams.len()) {
            return Err(Error::Input { name: "projections", got: own.len(), needs: streams.len() });
        }
        let lens = streams.iter().map(|stream| options.len("stream", stream.rows)).collect::<Result<Vec<_>, _>>()?;
        let total = in_u32("keys of all streams", lens.iter().map(|&len| u64::from(len)).sum())?;
        if total == 0 {
            return Err(Error::Zero { name: "the number of streams" });
        }
        let rows = in_u32("keys of all streams", u64::from(options.batch) * u64::from(total))?;
        let (got, max) = (2 * u64::from(options.batch) * streams.len() as u64, MAX_STREAM_STEPS);
        if got > max {
            return Err(Error::TooLarge { name: "the number of projections of streams", got, max });
        }
        let kv = [0, 1].map(|_| graph.node(rows, self.sizes.embed_dim, DType::F32));
        for (which, out) in kv.into_iter().enumerate() {
            let mut start = 0;
            for (n, (&stream, &len)) in streams.iter().zip(&lens).enumerate() {
                let linear = own.map_or([&self.k, &self.v][which], |own| &own[n][which]);
                for item in 0..options.batch {
                    linear.forward_into(graph, (stream, item * len), (out, item * total + start), len)?;
                }
                start += len;
            }
        }
        self.forward_over(graph, query, kv, options, residual)
    }

    /// [`forward`](Self::forward) over keys and values that are already projected.
    pub fn forward_over(
        &self,
        graph: &mut Graph,
        query: Node,
        [k, v]: [Node; 2],
        options: &CallOptions,
        residual: Option<Node>,
    ) -> Result<Attended, Error> {
        let (q_len, kv_len) = (options.len("query", query.rows)?, options.len("key", k.rows)?);
        let q = self.q.forward(graph, query, Activation::None, None)?;
        let mixed = graph.node(query.rows, self.sizes.embed_dim, DType::F32);
        let (mut spec, mut masks) = (self.spec([options.batch, q_len, kv_len]), Vec::new());
        if options.causal {
            spec = spec.mask(Mask::causal()).align(Align::Start);
        }
        if let Some(ignored) = &options.padding {
            check_len("key_padding_mask", ignored.len(), u64::from(k.rows))?;
            let keep: Vec<u8> = ignored.iter().map(|&ignored| u8::from(!ignored)).collect();
            spec = spec.keep(Layout { offset: 0, batch: kv_len.into(), head: 0, row: 0 }, kv_len);
            masks.push((Tensor::Keep, graph.constant(options.batch, kv_len, DType::Bool, &keep)));
        }
        if let Some(added) = &options.added {
            let pairs = u64::from(q_len) * u64::from(kv_len);
            let stacks = u64::from(options.batch) * u64::from(self.sizes.heads);
            let stacked = added.len() as u64 != pairs;
            check_len("attn_mask", added.len(), if stacked { stacks.saturating_mul(pairs) } else { pairs })?;
            let (head, row) = (if stacked { pairs } else { 0 }, kv_len.into());
            spec = spec.bias(Layout { offset: 0, batch: head * u64::from(self.sizes.heads), head, row }, kv_len);
            let rows = if stacked { in_u32("rows of attn_mask", stacks.saturating_mul(q_len.into()))? } else { q_len };
            masks.push((Tensor::Bias, graph.constant(rows, kv_len, DType::F32, added)));
        }
        let scored = [vec![(Tensor::Q, q), (Tensor::K, k)], masks].concat();
        let weights = attend(graph, &spec, (&scored, [v, mixed]), options.weights)?;
        let measured = options.measured.then(|| measure(graph, &spec, &scored)).transpose()?;
        Ok(Attended { out: self.out.forward(graph, mixed, Activation::None, residual)?, weights, measured })
    }

    /// Attention of the next token of each batch item, `query [batch, embed_dim]`, over those before it: its key and value are appended
    /// to the cache `[batch * capacity, embed_dim]` of each, behind the `lens [batch]` u32 tokens that the device finds there.
    pub fn forward_next(
        &self,
        graph: &mut Graph,
        query: Node,
        (cache, lens): ([Node; 2], Node),
        residual: Node,
    ) -> Result<Node, Error> {
        let (batch, capacity) = (query.rows, cache[0].rows / query.rows.max(1));
        let [k, v] = self.keys_and_values(graph, [query; 2])?;
        let q = self.q.forward(graph, query, Activation::None, None)?;
        let mixed = graph.node(batch, self.sizes.embed_dim, DType::F32);
        let over = [(Tensor::Q, q), (Tensor::K, cache[0]), (Tensor::V, cache[1]), (Tensor::Out, mixed)];
        let next = [(Tensor::NewK, k), (Tensor::NewV, v), (Tensor::KvLens, lens)];
        graph.add(self.spec([batch, 1, capacity]).append(1), &[over.as_slice(), &next].concat());
        self.out.forward(graph, mixed, Activation::None, Some(residual))
    }

    /// Elements of a query and of an output.
    #[must_use]
    pub const fn embed_dim(&self) -> u32 {
        self.sizes.embed_dim
    }

    /// Attention of `[batch, q_len, kv_len]`, each token's heads side by side.
    fn spec(&self, [batch, q_len, kv_len]: [u32; 3]) -> Spec {
        let (heads, dim) = (self.sizes.heads, self.sizes.embed_dim / self.sizes.heads);
        let shape = Shape { batch, q_heads: heads, kv_heads: heads, q_len, kv_len, head_dim: dim, value_dim: dim };
        Spec::new(shape).order(Order::Bshd)
    }
}

/// Adds the attention, and the weights that are asked for.
fn attend(
    graph: &mut Graph,
    spec: &Spec,
    (scored, [v, mixed]): (&[(Tensor, Node)], [Node; 2]),
    give: ReturnWeights,
) -> Result<Option<Node>, Error> {
    let Shape { batch, q_len, kv_len, .. } = *spec.shape();
    let all = [scored, &[(Tensor::V, v), (Tensor::Out, mixed)]].concat();
    match give {
        ReturnWeights::None => {
            graph.add(spec, &all);
            Ok(None)
        }
        ReturnWeights::EachHead => {
            let weights = graph.node(rows_of_heads(spec)?, kv_len, DType::F32);
            graph.add(spec.clone().weights(), &[all.as_slice(), &[(Tensor::Weights, weights)]].concat());
            Ok(Some(weights))
        }
        ReturnWeights::Mean => {
            let mean = graph.node(batch.saturating_mul(q_len), kv_len, DType::F32);
            graph.add(spec, &all);
            let measures = Measures::of(spec).map(q_len, kv_len, Pool::Sum, MapOf::AllHeads);
            graph.add(measures, &[scored, &[(Tensor::Map, mean)]].concat());
            Ok(Some(mean))
        }
    }
}

/// Adds the measures of an attention.
fn measure(graph: &mut Graph, spec: &Spec, scored: &[(Tensor, Node)]) -> Result<Measured, Error> {
    let Shape { batch, q_heads, kv_len, .. } = *spec.shape();
    let measures = Measures::of(spec).rows().received();
    let rows = graph.node(rows_of_heads(spec)?, ROW_MEASURES, DType::F32);
    let received = graph.node(batch.saturating_mul(q_heads), kv_len, DType::F32);
    graph.add(&measures, &[scored, &[(Tensor::RowMeasures, rows), (Tensor::Received, received)]].concat());
    Ok(Measured { measures, rows, received })
}

/// Query rows of all heads and batch items, which are the rows of a node.
fn rows_of_heads(spec: &Spec) -> Result<u32, Error> {
    let Shape { batch, q_heads, q_len, .. } = *spec.shape();
    in_u32("query rows of all heads", (u64::from(batch) * u64::from(q_heads)).saturating_mul(q_len.into()))
}

fn in_u32(name: &'static str, got: u64) -> Result<u32, Error> {
    u32::try_from(got).map_err(|_| Error::TooLarge { name, got, max: u32::MAX.into() })
}

fn check_len(name: &'static str, got: usize, needs: u64) -> Result<(), Error> {
    if got as u64 == needs { Ok(()) } else { Err(Error::Input { name, got, needs: needs as usize }) }
}
