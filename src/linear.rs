//! A linear layer: rows times a weight matrix, and what usually follows.

use crate::{
    dtype::DType,
    error::Error,
    layout::Layout,
    mask::MAX_LEN,
    rope::{check_float, check_size},
    tensor::Tensor,
    view::View,
};

/// Most elements of a row of [`Linear`], [`Norm`](crate::Norm) and [`Embed`](crate::Embed): 1,048,576, above every width and every
/// vocabulary that is in use, and small enough for the work of one tile to stay below every watchdog.
pub const MAX_WIDTH: u32 = 1 << 20;

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
/// out[i, o] = activation(sum over d of x[i, d] * weight[o, d] + shift[o]) + residual[i, o]
/// ```
///
/// It binds `x [rows, inputs]`, `weight [outputs, inputs]` as frameworks publish it, where asked for `shift [outputs]` f32 and
/// `residual [rows, outputs]` of the type of out, and writes `out [rows, outputs]`. Batch items and heads are rows and outputs: `rows` is
/// `batch * len`, and an out of `heads * dim` is what [`Order::Bshd`](crate::Order::Bshd) reads. Of a [`Layout`] of x, residual or out only
/// offset and row count. Out and residual must not overlap.
///
/// Finite inputs give no NaN where the sums are finite in f32.
///
/// ```
/// use wgpu_attention::{Activation, Linear, Problem};
/// let up = Linear::new(512, 768, 3072).shift().activation(Activation::Gelu);
/// let down = Linear::new(512, 3072, 768).shift().residual();
/// assert_eq!((Problem::from(up).check(), Problem::from(down).check()), (Ok(()), Ok(())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Linear {
    sizes: [u32; 3],
    shift: bool,
    residual: bool,
    pub(crate) activation: Activation,
    /// Of x, residual and out.
    layouts: [Option<Layout>; 3],
    /// Of x, weight and out.
    types: [DType; 3],
    pub(crate) shared_buffer: bool,
}

impl Linear {
    /// `rows` rows of `inputs` elements into rows of `outputs`, dense and f32. Rows are at most 2^29, inputs and outputs at most
    /// [`MAX_WIDTH`].
    pub fn new(rows: u32, inputs: u32, outputs: u32) -> Self {
        Self {
            sizes: [rows, inputs, outputs],
            shift: false,
            residual: false,
            activation: Activation::None,
            layouts: [None; 3],
            types: [DType::F32; 3],
            shared_buffer: false,
        }
    }

    /// Adds `shift [outputs]` f32 to each row: what frameworks call the bias of a layer.
    pub fn shift(mut self) -> Self {
        self.shift = true;
        self
    }

    /// What becomes of the sum.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Adds `residual [rows, outputs]`, of the type of out, after the activation.
    pub fn residual(mut self) -> Self {
        self.residual = true;
        self
    }

    /// Layout of x.
    pub fn x_layout(mut self, layout: Layout) -> Self {
        self.layouts[0] = Some(layout);
        self
    }

    /// Layout of the residual.
    pub fn residual_layout(mut self, layout: Layout) -> Self {
        self.layouts[1] = Some(layout);
        self
    }

    /// Layout of out.
    pub fn out_layout(mut self, layout: Layout) -> Self {
        self.layouts[2] = Some(layout);
        self
    }

    /// Element type of x.
    pub fn x_type(mut self, dtype: DType) -> Self {
        self.types[0] = dtype;
        self
    }

    /// Element type of the weight.
    pub fn weight_type(mut self, dtype: DType) -> Self {
        self.types[1] = dtype;
        self
    }

    /// Element type of out and of the residual.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types[2] = dtype;
        self
    }

    /// The bindings may lie in one buffer ([`Spec::shared_buffer`](crate::Spec::shared_buffer)).
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
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
        let [x, weight, out] = self.types;
        check_float("x_type", x)?;
        check_float("weight_type", weight)?;
        check_float("out_type", out)
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [rows, inputs, outputs] = self.sizes;
        let [x, weight, out] = self.types;
        let of = |sizes, dtype| View::dense(tensor, sizes, dtype);
        match tensor {
            Tensor::X => Some(of([1, 1, rows, inputs], x).at(self.layouts[0])),
            Tensor::Weight => Some(of([1, 1, outputs, inputs], weight)),
            Tensor::Shift => self.shift.then(|| of([1, 1, 1, outputs], DType::F32)),
            Tensor::Residual => self.residual.then(|| of([1, 1, rows, outputs], out).at(self.layouts[1])),
            Tensor::Out => Some(View { written: true, ..of([1, 1, rows, outputs], out).at(self.layouts[2]) }),
            _ => None,
        }
    }
}
