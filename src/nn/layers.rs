//! The pieces between attentions: linear layers, norms, embeddings.

use crate::{
    error::Error,
    nn::{
        tape::{Tape, Value},
        weights::{Parameter, Weights},
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
    shift: Option<Parameter>,
    /// Elements of a row of x.
    pub inputs: u32,
    /// Elements of a row of y.
    pub outputs: u32,
}

impl Linear {
    /// `NAME.weight [outputs, inputs]` and, if the file has it, `NAME.bias [outputs]`.
    pub fn load(weights: &mut Weights<'_>, name: &str, outputs: u32, inputs: u32) -> Result<Self, Error> {
        Self::named(weights, &format!("{name}.weight"), &format!("{name}.bias"), [outputs, inputs])
    }

    /// The same by whole names.
    pub(super) fn named(
        weights: &mut Weights<'_>,
        weight: &str,
        shift: &str,
        [outputs, inputs]: [u32; 2],
    ) -> Result<Self, Error> {
        let weight = weights.take(weight, &[outputs, inputs])?;
        let shift = if weights.has(shift) { Some(weights.vector(shift, outputs)?) } else { None };
        Ok(Self { weight, shift, inputs, outputs })
    }

    /// Of parameters that were taken or made elsewhere: `weight [outputs, inputs]`, `shift [outputs]` in f32.
    #[must_use]
    pub fn of(weight: Parameter, shift: Option<Parameter>, [outputs, inputs]: [u32; 2]) -> Self {
        Self { weight, shift, inputs, outputs }
    }

    /// Adds `activation(x Wᵀ + b) + residual` to the tape.
    pub fn record(
        &self,
        tape: &mut Tape,
        x: Value,
        activation: Activation,
        residual: Option<Value>,
    ) -> Result<Value, Error> {
        x.check("x", x.rows, self.inputs)?;
        let mut product = Product::new(x.rows, self.inputs, self.outputs).activation(activation);
        let out = tape.value(x.rows, self.outputs, DType::F32);
        let mut bound = vec![(Tensor::X, x), (Tensor::Out, out)];
        if let Some(residual) = residual {
            residual.check("residual", x.rows, self.outputs)?;
            product = product.residual();
            bound.push((Tensor::Residual, residual));
        }
        self.step(tape, product.x_type(x.dtype), bound);
        Ok(out)
    }

    /// Rows `from..from + rows` of x into those of `out` from `to` on: `[.., outputs]` f32, which others may write in part.
    pub(super) fn record_into(
        &self,
        tape: &mut Tape,
        (x, from): (Value, u32),
        (out, to): (Value, u32),
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
        self.step(tape, product, vec![(Tensor::X, x), (Tensor::Out, out)]);
        Ok(())
    }

    /// Adds a product with the weight, and with what is added to each row.
    fn step(&self, tape: &mut Tape, mut product: Product, mut bound: Vec<(Tensor, Value)>) {
        product = product.weight_type(self.weight.dtype);
        let weight = tape.given(self.outputs, self.inputs, self.weight.dtype, &self.weight.buffer);
        bound.push((Tensor::Weight, weight));
        if let Some(shift) = &self.shift {
            product = product.shift();
            bound.push((Tensor::Shift, tape.given(1, self.outputs, shift.dtype, &shift.buffer)));
        }
        tape.step(product, &bound);
    }
}

/// Layer normalisation (Ba et al. 2016).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    gain: Parameter,
    shift: Parameter,
    /// Elements of a row.
    pub dim: u32,
    epsilon: f32,
}

impl LayerNorm {
    /// `NAME.weight [dim]` and `NAME.bias [dim]`, or `NAME.gamma` and `NAME.beta` as in old files.
    pub fn load(weights: &mut Weights<'_>, name: &str, dim: u32, epsilon: f32) -> Result<Self, Error> {
        let old = weights.has(&format!("{name}.gamma"));
        let [gain, shift] = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        let mut vector = |part: &str| weights.vector(&format!("{name}.{part}"), dim);
        Ok(Self { gain: vector(gain)?, shift: vector(shift)?, dim, epsilon })
    }

    /// Adds the norm of each row to the tape.
    pub fn record(&self, tape: &mut Tape, x: Value) -> Result<Value, Error> {
        self.record_sum(tape, x, None)
    }

    /// The norm of `x + other`, where there is such: `[rows, dim]`, or `[1, dim]` for all rows.
    pub fn record_sum(&self, tape: &mut Tape, x: Value, other: Option<Value>) -> Result<Value, Error> {
        x.check("x", x.rows, self.dim)?;
        let gain = tape.given(1, self.dim, self.gain.dtype, &self.gain.buffer);
        let shift = tape.given(1, self.dim, self.shift.dtype, &self.shift.buffer);
        let out = tape.value(x.rows, self.dim, DType::F32);
        let mut norm = Norm::layer(x.rows, self.dim, self.epsilon).x_type(x.dtype);
        let mut bound = vec![(Tensor::X, x), (Tensor::Gain, gain), (Tensor::Shift, shift), (Tensor::Out, out)];
        if let Some(other) = other {
            other.check("other", if other.rows == 1 { 1 } else { x.rows }, self.dim)?;
            let row = if other.rows == 1 { 0 } else { self.dim.into() };
            norm = norm.residual().residual_layout(Layout { offset: 0, batch: 0, head: 0, row });
            bound.push((Tensor::Residual, other));
        }
        tape.step(norm, &bound);
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
    pub fn load(weights: &mut Weights<'_>, name: &str, count: u32, dim: u32) -> Result<Self, Error> {
        let table = weights.take(&format!("{name}.weight"), &[count, dim])?;
        Ok(Self { table, count, dim, positions: None })
    }

    /// Adds row `first + i` of `NAME.weight [positions, dim]` to token `i` of each sequence: learned positions.
    pub fn learned(mut self, weights: &mut Weights<'_>, name: &str, [count, first]: [u32; 2]) -> Result<Self, Error> {
        let table = weights.take(&format!("{name}.weight"), &[count, self.dim])?;
        if table.dtype != self.table.dtype {
            return Err(Error::Conflict { a: "an embedding", b: "positions of another type" });
        }
        self.positions = Some(Positions { table, count, first });
        Ok(self)
    }

    /// Adds [`sinusoids`] to the tokens of each sequence, of up to `count` tokens.
    pub fn sinusoidal(mut self, weights: &Weights<'_>, count: u32) -> Result<Self, Error> {
        let numbers = sinusoids(count, self.dim);
        let table = weights.constant("positions", &numbers, self.table.dtype)?;
        self.positions = Some(Positions { table, count, first: 0 });
        Ok(self)
    }

    /// Adds the rows of `ids [1, rows]` u32 to the tape, which are sequences of `len` tokens one behind the other: `[rows, dim]`. More tokens
    /// than there are positions are refused when the tape is finished.
    pub fn record(&self, tape: &mut Tape, ids: Value, len: u32) -> Value {
        let positions = self.positions.as_ref().map(|positions| {
            let Positions { table, count, first } = positions;
            (tape.given(*count, self.dim, table.dtype, &table.buffer), [*count, *first, len])
        });
        self.step(tape, ids, positions)
    }

    /// The same with one position for all, which the caller writes: `place [1, dim]` in the type of the table.
    pub fn record_at(&self, tape: &mut Tape, ids: Value, place: Value) -> Value {
        self.step(tape, ids, Some((place, [1, 0, 1])))
    }

    fn step(&self, tape: &mut Tape, ids: Value, positions: Option<(Value, [u32; 3])>) -> Value {
        let rows = ids.width;
        let table = tape.given(self.count, self.dim, self.table.dtype, &self.table.buffer);
        let out = tape.value(rows, self.dim, DType::F32);
        let mut embed = Embed::new(rows, self.count, self.dim).table_type(self.table.dtype);
        let mut bound = vec![(Tensor::Ids, ids), (Tensor::Table, table), (Tensor::Out, out)];
        if let Some((table, [count, first, period])) = positions {
            embed = embed.positions(count, first, period);
            bound.push((Tensor::Positions, table));
        }
        tape.step(embed, &bound);
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
