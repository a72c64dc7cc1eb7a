//! Multi-head attention (Vaswani et al. 2017, section 3.2.2).

use crate::{
    error::Error,
    inspect::{self, heads::Head},
    nn::{
        layers::Linear,
        options::{CallOptions, ReturnWeights},
        tape::{Tape, Value},
        weights::Weights,
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
    pub out: Value,
    /// Where [`CallOptions::weights`] asks for them.
    pub weights: Option<Value>,
    /// Where [`CallOptions::measured`] asks for them.
    pub measured: Option<Measured>,
}

/// Measures of a call's weights.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was measured.
    pub measures: Measures,
    /// `[batch * heads * q_len, 7]`.
    pub rows: Value,
    /// `[batch * heads, kv_len]`.
    pub received: Value,
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
    pub fn load(weights: &mut Weights<'_>, prefix: &str, sizes: Heads) -> Result<Self, Error> {
        sizes.check()?;
        let Heads { embed_dim, kdim, vdim, .. } = sizes;
        let packed = kdim == embed_dim && vdim == embed_dim && !weights.has(&format!("{prefix}q_proj_weight"));
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{prefix}in_proj_{part}"));
        let [q, k, v] = if packed {
            weights.split(&weight, &[3 * embed_dim, embed_dim])?
        } else {
            let mut one =
                |name: &str, inputs| weights.take(&format!("{prefix}{name}_proj_weight"), &[embed_dim, inputs]);
            [one("q", embed_dim)?, one("k", kdim)?, one("v", vdim)?]
        };
        let [q_shift, k_shift, v_shift] = match weights.has(&bias) {
            true => weights.vectors(&bias, 3 * embed_dim)?.map(Some),
            false => [None, None, None],
        };
        let linear = |weight, shift, inputs| Linear::of(weight, shift, [embed_dim, inputs]);
        let out = Linear::load(weights, &format!("{prefix}out_proj"), embed_dim, embed_dim)?;
        let (q, k, v) = (linear(q, q_shift, embed_dim), linear(k, k_shift, kdim), linear(v, v_shift, vdim));
        Ok(Self { sizes, q, k, v, out })
    }

    /// Of projections by other names.
    pub fn of(heads: u32, [q, k, v, out]: [Linear; 4]) -> Result<Self, Error> {
        let sizes = Heads { embed_dim: q.outputs, heads, kdim: k.inputs, vdim: v.inputs };
        sizes.check()?;
        for (name, linear) in [("key", &k), ("value", &v)] {
            if linear.outputs != q.outputs {
                return Err(Error::Value { name, what: "width", got: linear.outputs, wanted: q.outputs });
            }
        }
        Ok(Self { sizes, q, k, v, out })
    }

    /// Adds a call to the tape: `query [batch * q_len, embed_dim]`, `key [batch * kv_len, kdim]`, `value [batch * kv_len, vdim]`. What is
    /// given as `residual` is added to the output.
    pub fn record(
        &self,
        tape: &mut Tape,
        [query, key, value]: [Value; 3],
        sight: &CallOptions,
        residual: Option<Value>,
    ) -> Result<Attended, Error> {
        let kv = self.keys_and_values(tape, [key, value])?;
        self.record_over(tape, query, kv, sight, residual)
    }

    /// The projections of keys and values, which decoders keep.
    pub fn keys_and_values(&self, tape: &mut Tape, [key, value]: [Value; 2]) -> Result<[Value; 2], Error> {
        value.check("value", key.rows, self.v.inputs)?;
        let linear = |linear: &Linear, tape: &mut Tape, x| linear.record(tape, x, Activation::None, None);
        Ok([linear(&self.k, tape, key)?, linear(&self.v, tape, value)?])
    }

    /// [`record`](Self::record) over several streams in one softmax: text and image patches, for instance, `[batch * len, kdim]` each, that
    /// serve as keys and as values. Their projections are written beside each other, so that nothing is copied; with `own`, each stream has
    /// projections of its own. Masks count the keys of all streams of a batch item, one stream after the other.
    pub fn record_streams(
        &self,
        tape: &mut Tape,
        query: Value,
        (streams, own): (&[Value], Option<&[[Linear; 2]]>),
        sight: &CallOptions,
        residual: Option<Value>,
    ) -> Result<Attended, Error> {
        if let Some(own) = own.filter(|own| own.len() != streams.len()) {
            return Err(Error::Input { name: "projections", got: own.len(), needs: streams.len() });
        }
        let lens = streams.iter().map(|stream| sight.len("stream", stream.rows)).collect::<Result<Vec<_>, _>>()?;
        let total: u32 = lens.iter().sum();
        if total == 0 {
            return Err(Error::Zero { name: "the number of streams" });
        }
        let kv = [0, 1].map(|_| tape.value(sight.batch * total, self.sizes.embed_dim, DType::F32));
        for (which, out) in kv.into_iter().enumerate() {
            let mut start = 0;
            for (n, (&stream, &len)) in streams.iter().zip(&lens).enumerate() {
                let linear = own.map_or([&self.k, &self.v][which], |own| &own[n][which]);
                for item in 0..sight.batch {
                    linear.record_into(tape, (stream, item * len), (out, item * total + start), len)?;
                }
                start += len;
            }
        }
        self.record_over(tape, query, kv, sight, residual)
    }

    /// [`record`](Self::record) over keys and values that are already projected.
    pub fn record_over(
        &self,
        tape: &mut Tape,
        query: Value,
        [k, v]: [Value; 2],
        sight: &CallOptions,
        residual: Option<Value>,
    ) -> Result<Attended, Error> {
        let (q_len, kv_len) = (sight.len("query", query.rows)?, sight.len("key", k.rows)?);
        let q = self.q.record(tape, query, Activation::None, None)?;
        let mixed = tape.value(query.rows, self.sizes.embed_dim, DType::F32);
        let (mut spec, mut masks) = (self.spec([sight.batch, q_len, kv_len]), Vec::new());
        if sight.causal {
            spec = spec.mask(Mask::causal()).align(Align::Start);
        }
        if let Some(ignored) = &sight.padding {
            check_len("key_padding_mask", ignored.len(), u64::from(k.rows))?;
            let keep: Vec<u8> = ignored.iter().map(|&ignored| u8::from(!ignored)).collect();
            spec = spec.keep(Layout { offset: 0, batch: kv_len.into(), head: 0, row: 0 }, kv_len);
            masks.push((Tensor::Keep, tape.constant(sight.batch, kv_len, DType::Bool, &keep)));
        }
        if let Some(added) = &sight.added {
            let pairs = u64::from(q_len) * u64::from(kv_len);
            let stacks = u64::from(sight.batch) * u64::from(self.sizes.heads);
            let stacked = added.len() as u64 != pairs;
            check_len("attn_mask", added.len(), if stacked { stacks * pairs } else { pairs })?;
            let (head, row) = (if stacked { pairs } else { 0 }, kv_len.into());
            spec = spec.bias(Layout { offset: 0, batch: head * u64::from(self.sizes.heads), head, row }, kv_len);
            let rows = if stacked { stacks as u32 * q_len } else { q_len };
            masks.push((Tensor::Bias, tape.constant(rows, kv_len, DType::F32, added)));
        }
        let scored = [vec![(Tensor::Q, q), (Tensor::K, k)], masks].concat();
        let weights = attend(tape, &spec, (&scored, [v, mixed]), sight.weights);
        let measured = sight.measured.then(|| measure(tape, &spec, &scored));
        Ok(Attended { out: self.out.record(tape, mixed, Activation::None, residual)?, weights, measured })
    }

    /// Attention of the next token of each batch item, `query [batch, embed_dim]`, over those before it: its key and value are appended
    /// to the cache `[batch * capacity, embed_dim]` of each, behind the `lens [batch]` u32 tokens that the device finds there.
    pub fn record_next(
        &self,
        tape: &mut Tape,
        query: Value,
        (cache, lens): ([Value; 2], Value),
        residual: Value,
    ) -> Result<Value, Error> {
        let (batch, capacity) = (query.rows, cache[0].rows / query.rows.max(1));
        let [k, v] = self.keys_and_values(tape, [query; 2])?;
        let q = self.q.record(tape, query, Activation::None, None)?;
        let mixed = tape.value(batch, self.sizes.embed_dim, DType::F32);
        let over = [(Tensor::Q, q), (Tensor::K, cache[0]), (Tensor::V, cache[1]), (Tensor::Out, mixed)];
        let next = [(Tensor::NewK, k), (Tensor::NewV, v), (Tensor::KvLens, lens)];
        tape.step(self.spec([batch, 1, capacity]).append(1), &[over.as_slice(), &next].concat());
        self.out.record(tape, mixed, Activation::None, Some(residual))
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
    tape: &mut Tape,
    spec: &Spec,
    (scored, [v, mixed]): (&[(Tensor, Value)], [Value; 2]),
    give: ReturnWeights,
) -> Option<Value> {
    let Shape { batch, q_heads, q_len, kv_len, .. } = *spec.shape();
    let all = [scored, &[(Tensor::V, v), (Tensor::Out, mixed)]].concat();
    match give {
        ReturnWeights::None => {
            tape.step(spec, &all);
            None
        }
        ReturnWeights::EachHead => {
            let weights = tape.value(batch * q_heads * q_len, kv_len, DType::F32);
            tape.step(spec.clone().weights(), &[all.as_slice(), &[(Tensor::Weights, weights)]].concat());
            Some(weights)
        }
        ReturnWeights::Mean => {
            let mean = tape.value(batch * q_len, kv_len, DType::F32);
            tape.step(spec, &all);
            let measures = Measures::of(spec).map(q_len, kv_len, Pool::Sum, MapOf::AllHeads);
            tape.step(measures, &[scored, &[(Tensor::Map, mean)]].concat());
            Some(mean)
        }
    }
}

/// Adds the measures of an attention.
fn measure(tape: &mut Tape, spec: &Spec, scored: &[(Tensor, Value)]) -> Measured {
    let Shape { batch, q_heads, q_len, kv_len, .. } = *spec.shape();
    let measures = Measures::of(spec).rows().received();
    let rows = tape.value(batch * q_heads * q_len, ROW_MEASURES, DType::F32);
    let received = tape.value(batch * q_heads, kv_len, DType::F32);
    tape.step(&measures, &[scored, &[(Tensor::RowMeasures, rows), (Tensor::Received, received)]].concat());
    Measured { measures, rows, received }
}

fn check_len(name: &'static str, got: usize, needs: u64) -> Result<(), Error> {
    if got as u64 == needs { Ok(()) } else { Err(Error::Input { name, got, needs: needs as usize }) }
}
