//! The pieces between attentions: linear layers, norms, embeddings.

use crate::{
    error::Error,
    nn::{
        graph::{Graph, Node},
        state_dict::{Parameter, StateDict},
    },
    problem::{
        embed::Embed,
        linear::{Activation, Linear as Product},
        norm::Norm,
    },
    tensor::{Tensor, dtype::DType, layout::Layout},
};

/// `y = x Wᵀ + b`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
    /// Elements of a row of x.
    pub inputs: u32,
    /// Elements of a row of y.
    pub outputs: u32,
}

impl Linear {
    /// `NAME.weight [outputs, inputs]` and, if the file has it, `NAME.bias [outputs]`.
    pub fn load(weights: &mut StateDict<'_>, name: &str, outputs: u32, inputs: u32) -> Result<Self, Error> {
        Self::named(weights, &format!("{name}.weight"), &format!("{name}.bias"), [outputs, inputs])
    }

    /// The same by whole names.
    pub(super) fn named(
        weights: &mut StateDict<'_>,
        weight: &str,
        bias: &str,
        [outputs, inputs]: [u32; 2],
    ) -> Result<Self, Error> {
        let weight = weights.take(weight, &[outputs, inputs])?;
        let bias = if weights.has(bias) { Some(weights.vector(bias, outputs)?) } else { None };
        Ok(Self { weight, bias, inputs, outputs })
    }

    /// Of parameters that were taken or made elsewhere: `weight [outputs, inputs]`, `bias [outputs]` in f32.
    #[must_use]
    pub fn of(weight: Parameter, bias: Option<Parameter>, [outputs, inputs]: [u32; 2]) -> Self {
        Self { weight, bias, inputs, outputs }
    }

    /// Adds `activation(x Wᵀ + b) + residual` to the graph.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: Node,
        activation: Activation,
        residual: Option<Node>,
    ) -> Result<Node, Error> {
        x.check("x", x.rows, self.inputs)?;
        let mut product = Product::new(x.rows, self.inputs, self.outputs).activation(activation);
        let out = graph.node(x.rows, self.outputs, DType::F32);
        let mut bound = vec![(Tensor::X, x), (Tensor::Out, out)];
        if let Some(residual) = residual {
            residual.check("residual", x.rows, self.outputs)?;
            product = product.residual();
            bound.push((Tensor::Residual, residual));
        }
        self.step(graph, product.x_type(x.dtype), bound);
        Ok(out)
    }

    /// Rows `from..from + rows` of x into those of `out` from `to` on: `[.., outputs]` f32, which others may write in part.
    pub(super) fn forward_into(
        &self,
        graph: &mut Graph,
        (x, from): (Node, u32),
        (out, to): (Node, u32),
        rows: u32,
    ) -> Result<(), Error> {
        x.check("x", x.rows, self.inputs)?;
        let at = |row: u32, width: u32| Layout {
            offset: u64::from(row) * u64::from(width),
            batch: 0,
            head: 0,
            row: width.into(),
        };
        let product = Product::new(rows, self.inputs, self.outputs).x_type(x.dtype);
        let product = product.x_layout(at(from, self.inputs)).out_layout(at(to, self.outputs));
        self.step(graph, product, vec![(Tensor::X, x), (Tensor::Out, out)]);
        Ok(())
    }

    /// Adds a product with the weight, and with what is added to each row.
    fn step(&self, graph: &mut Graph, mut product: Product, mut bound: Vec<(Tensor, Node)>) {
        product = product.weight_type(self.weight.dtype);
        let weight = graph.given(self.outputs, self.inputs, self.weight.dtype, &self.weight.buffer);
        bound.push((Tensor::Weight, weight));
        if let Some(bias) = &self.bias {
            product = product.bias();
            bound.push((Tensor::LayerBias, graph.given(1, self.outputs, bias.dtype, &bias.buffer)));
        }
        graph.add(product, &bound);
    }
}

/// Layer normalisation (Ba et al. 2016).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Parameter,
    bias: Parameter,
    /// Elements of a row.
    pub dim: u32,
    epsilon: f32,
}

impl LayerNorm {
    /// `NAME.weight [dim]` and `NAME.bias [dim]`, or `NAME.gamma` and `NAME.beta` as in old files.
    pub fn load(weights: &mut StateDict<'_>, name: &str, dim: u32, epsilon: f32) -> Result<Self, Error> {
        let old = weights.has(&format!("{name}.gamma"));
        let [weight, bias] = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        let mut vector = |part: &str| weights.vector(&format!("{name}.{part}"), dim);
        Ok(Self { weight: vector(weight)?, bias: vector(bias)?, dim, epsilon })
    }

    /// Adds the norm of each row to the graph.
    pub fn forward(&self, graph: &mut Graph, x: Node) -> Result<Node, Error> {
        self.forward_sum(graph, x, None)
    }

    /// The norm of `x + other`, where there is such: `[rows, dim]`, or `[1, dim]` for all rows.
    pub fn forward_sum(&self, graph: &mut Graph, x: Node, other: Option<Node>) -> Result<Node, Error> {
        x.check("x", x.rows, self.dim)?;
        let weight = graph.given(1, self.dim, self.weight.dtype, &self.weight.buffer);
        let bias = graph.given(1, self.dim, self.bias.dtype, &self.bias.buffer);
        let out = graph.node(x.rows, self.dim, DType::F32);
        let mut norm = Norm::layer(x.rows, self.dim, self.epsilon).x_type(x.dtype);
        let mut bound =
            vec![(Tensor::X, x), (Tensor::NormWeight, weight), (Tensor::LayerBias, bias), (Tensor::Out, out)];
        if let Some(other) = other {
            other.check("other", if other.rows == 1 { 1 } else { x.rows }, self.dim)?;
            let row = if other.rows == 1 { 0 } else { self.dim.into() };
            norm = norm.residual().residual_layout(Layout { offset: 0, batch: 0, head: 0, row });
            bound.push((Tensor::Residual, other));
        }
        graph.add(norm, &bound);
        Ok(out)
    }
}

/// Rows of a table by token, and what their places add.
#[derive(Clone, Debug)]
pub struct Embedding {
    table: Parameter,
    /// Rows of the table.
    pub count: u32,
    /// Elements of a row.
    pub dim: u32,
    positions: Option<Positions>,
}

#[derive(Clone, Debug)]
struct Positions {
    table: Parameter,
    count: u32,
    first: u32,
}

impl Embedding {
    /// `NAME.weight [count, dim]`, without positions.
    pub fn load(weights: &mut StateDict<'_>, name: &str, count: u32, dim: u32) -> Result<Self, Error> {
        let table = weights.take(&format!("{name}.weight"), &[count, dim])?;
        Ok(Self { table, count, dim, positions: None })
    }

    /// Adds row `first + i` of `NAME.weight [positions, dim]` to token `i` of each sequence: learned positions, in the type of the table.
    pub fn learned(mut self, weights: &mut StateDict<'_>, name: &str, [count, first]: [u32; 2]) -> Result<Self, Error> {
        let table = weights.take_as(&format!("{name}.weight"), &[count, self.dim], self.table.dtype)?;
        self.positions = Some(Positions { table, count, first });
        Ok(self)
    }

    /// Adds [`sinusoids`] to the tokens of each sequence, of up to `count` tokens.
    pub fn sinusoidal(mut self, weights: &StateDict<'_>, count: u32) -> Result<Self, Error> {
        let max = weights.max_buffer_bytes();
        let bytes = 4 * u64::from(count) * u64::from(self.dim);
        if bytes > max {
            return Err(Error::BufferLimit { name: "positions", bytes, max });
        }
        let numbers = sinusoids(count, self.dim);
        let table = weights.constant("positions", &numbers, self.table.dtype)?;
        self.positions = Some(Positions { table, count, first: 0 });
        Ok(self)
    }

    /// Adds the rows of `ids [1, rows]` u32 to the graph, which are sequences of `len` tokens one behind the other: `[rows, dim]`. More tokens
    /// than there are positions are refused when the graph is finished.
    pub fn forward(&self, graph: &mut Graph, ids: Node, len: u32) -> Node {
        let positions = self.positions.as_ref().map(|positions| {
            let Positions { table, count, first } = positions;
            (graph.given(*count, self.dim, table.dtype, &table.buffer), [*count, *first, len])
        });
        self.step(graph, ids, positions)
    }

    /// The same with one position for all, which the caller writes: `place [1, dim]` in the type of the table.
    pub fn forward_at(&self, graph: &mut Graph, ids: Node, place: Node) -> Node {
        self.step(graph, ids, Some((place, [1, 0, 1])))
    }

    fn step(&self, graph: &mut Graph, ids: Node, positions: Option<(Node, [u32; 3])>) -> Node {
        let rows = ids.width;
        let table = graph.given(self.count, self.dim, self.table.dtype, &self.table.buffer);
        let out = graph.node(rows, self.dim, DType::F32);
        let mut embed = Embed::new(rows, self.count, self.dim).table_type(self.table.dtype);
        let mut bound = vec![(Tensor::Ids, ids), (Tensor::Table, table), (Tensor::Out, out)];
        if let Some((table, [count, first, period])) = positions {
            embed = embed.positions(count, first, period);
            bound.push((Tensor::Positions, table));
        }
        graph.add(embed, &bound);
        out
    }

    /// The type of the table and of positions.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.table.dtype
    }
}

/// Positions as sines and cosines (Vaswani et al. 2017, section 3.5): `[count, dim]`, element `2n` the sine and `2n + 1` the cosine of
/// `position / 10000^(2n / dim)`.
#[must_use]
pub fn sinusoids(count: u32, dim: u32) -> Vec<f32> {
    let one = |position: u32, d: u32| {
        let angle = f64::from(position) / 10000f64.powf(f64::from(d / 2 * 2) / f64::from(dim));
        (if d.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..count).flat_map(|position| (0..dim).map(move |d| one(position, d))).collect()
}
