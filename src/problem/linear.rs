//! A linear layer: rows times a weight matrix, and what usually follows.

use crate::{
    error::Error,
    problem::{
        limits::{MAX_LEN, MAX_WIDTH, check_float, check_size},
        setters::{Storage, setters},
    },
    tensor::{Tensor, dtype::DType, layout::Layout, view::View},
};

/// A function of each element of a linear layer's sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// `x`.
    #[default]
    None,
    /// `x / 2 * (1 + erf(x / sqrt(2)))` (Hendrycks and Gimpel 2016).
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`, the approximation of the same paper.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
}

/// A linear layer.
///
/// ```text
/// out[i, o] = activation(sum over d of x[i, d] * weight[o, d] + bias[o]) + residual[i, o]
/// ```
///
/// It binds `x [rows, inputs]`, `weight [outputs, inputs]` as frameworks publish it, where asked for `bias [outputs]` f32 and
/// `residual [rows, outputs]` of the type of out, and writes `out [rows, outputs]`. Batch items and heads are rows and outputs: `rows` is
/// `batch * len`, and an out of `heads * dim` is what [`Order::Bshd`](crate::Order::Bshd) reads. Of a [`Layout`] of x, residual or out only
/// offset and row count. Out and residual must not overlap.
///
/// Finite inputs give no NaN where the sums are finite in f32.
///
/// ```
/// use wgpu_attention::{Activation, Linear, Problem};
/// let up = Linear::new(512, 768, 3072).bias().activation(Activation::Gelu);
/// let down = Linear::new(512, 3072, 768).bias().residual();
/// assert_eq!((Problem::from(up).check(), Problem::from(down).check()), (Ok(()), Ok(())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Linear {
    sizes: [u32; 3],
    has_bias: bool,
    has_residual: bool,
    pub(crate) activation: Activation,
    x: Storage,
    weight: Storage,
    /// Its element type is that of out.
    residual: Storage,
    out: Storage,
    pub(crate) shared_buffer: bool,
}

impl Linear {
    /// `rows` rows of `inputs` elements into rows of `outputs`, dense and f32. Rows are at most 2^29, inputs and outputs at most
    /// [`MAX_WIDTH`].
    pub fn new(rows: u32, inputs: u32, outputs: u32) -> Self {
        Self {
            sizes: [rows, inputs, outputs],
            has_bias: false,
            has_residual: false,
            activation: Activation::None,
            x: Storage::default(),
            weight: Storage::default(),
            residual: Storage::default(),
            out: Storage::default(),
            shared_buffer: false,
        }
    }

    /// Adds `bias [outputs]` f32 to each row: what frameworks call the bias of a layer.
    pub fn bias(mut self) -> Self {
        self.has_bias = true;
        self
    }

    /// What becomes of the sum.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Adds `residual [rows, outputs]`, of the type of out, after the activation.
    pub fn residual(mut self) -> Self {
        self.has_residual = true;
        self
    }

    setters! {
        /// Layout of x.
        x_layout(Layout) sets x.layout,
        /// Layout of the residual.
        residual_layout(Layout) sets residual.layout,
        /// Layout of out.
        out_layout(Layout) sets out.layout,
        /// Element type of x.
        x_type(DType) sets x.dtype,
        /// Element type of the weight.
        weight_type(DType) sets weight.dtype,
        /// Element type of out and of the residual.
        out_type(DType) sets out.dtype,
    }

    /// `[rows, inputs, outputs]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 3] {
        self.sizes
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [rows, inputs, outputs] = self.sizes;
        check_size("rows", rows, MAX_LEN)?;
        check_size("inputs", inputs, MAX_WIDTH)?;
        check_size("outputs", outputs, MAX_WIDTH)?;
        check_float("x_type", self.x.dtype)?;
        check_float("weight_type", self.weight.dtype)?;
        check_float("out_type", self.out.dtype)
    }

    pub(crate) fn x_view(&self) -> View {
        let [rows, inputs, _] = self.sizes;
        self.x.view(Tensor::X, [1, 1, rows, inputs])
    }

    pub(crate) fn weight_view(&self) -> View {
        let [_, inputs, outputs] = self.sizes;
        self.weight.view(Tensor::Weight, [1, 1, outputs, inputs])
    }

    pub(crate) fn out_view(&self) -> View {
        let [rows, _, outputs] = self.sizes;
        self.out.view(Tensor::Out, [1, 1, rows, outputs]).written()
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [rows, _, outputs] = self.sizes;
        let residual = Storage { dtype: self.out.dtype, ..self.residual };
        match tensor {
            Tensor::X => Some(self.x_view()),
            Tensor::Weight => Some(self.weight_view()),
            Tensor::LayerBias => self.has_bias.then(|| View::dense(tensor, [1, 1, 1, outputs], DType::F32)),
            Tensor::Residual => self.has_residual.then(|| residual.view(tensor, [1, 1, rows, outputs])),
            Tensor::Out => Some(self.out_view()),
            _ => None,
        }
    }
}
