//! Normalisation of rows.

use crate::{
    error::Error,
    problem::{
        limits::{Bits, MAX_LEN, MAX_WIDTH, check_float, check_size},
        setters::{Storage, setters},
    },
    tensor::{Tensor, dtype::DType, layout::Layout, view::View},
};

/// Which normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NormKind {
    Layer,
    Rms,
    Unit,
}

/// Normalises each row `[dim]` of x, or of `x + residual`; `n` is dim, `g` the weight and `s` the bias.
///
/// ```text
/// layer   (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * g + s     Ba et al. 2016
/// rms     x / sqrt(mean(x^2) + epsilon) * g                                 Zhang and Sennrich 2019
/// unit    x / max(sqrt(sum(x^2)), epsilon)                                  for cosine attention
/// ```
///
/// It binds `x [rows, dim]`, where asked for `residual [rows, dim]` of the type of x, `weight [dim]` f32 (layer and rms) and
/// `bias [dim]` f32 (layer), and writes `out [rows, dim]`. Of a [`Layout`] only offset and row count. The mean comes first and the
/// squares of what is left of it second, both in f32, whose sums must be finite. Out and x must not overlap.
///
/// ```
/// use wgpu_attention::{Norm, Problem};
/// assert_eq!(Problem::from(Norm::layer(512, 768, 1e-5).residual()).check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Norm {
    sizes: [u32; 2],
    pub(crate) kind: NormKind,
    epsilon: Bits,
    has_residual: bool,
    x: Storage,
    /// Its element type is that of x.
    residual: Storage,
    out: Storage,
    pub(crate) shared_buffer: bool,
}

impl Norm {
    /// Layer normalisation with weight and bias (Ba et al. 2016), of dense f32 rows. Rows are at most 2^29, dim at most
    /// [`MAX_WIDTH`].
    pub fn layer(rows: u32, dim: u32, epsilon: f32) -> Self {
        Self::new(NormKind::Layer, [rows, dim], epsilon)
    }

    /// Root-mean-square normalisation with weight (Zhang and Sennrich 2019), of dense f32 rows.
    pub fn rms(rows: u32, dim: u32, epsilon: f32) -> Self {
        Self::new(NormKind::Rms, [rows, dim], epsilon)
    }

    /// Rows of Euclidean length 1; those shorter than epsilon are divided by epsilon.
    pub fn unit(rows: u32, dim: u32, epsilon: f32) -> Self {
        Self::new(NormKind::Unit, [rows, dim], epsilon)
    }

    fn new(kind: NormKind, sizes: [u32; 2], epsilon: f32) -> Self {
        let (epsilon, [x, residual, out]) = (Bits::of(epsilon), [Storage::default(); 3]);
        Self { sizes, kind, epsilon, has_residual: false, x, residual, out, shared_buffer: false }
    }

    /// Normalises `x + residual`: `residual [rows, dim]`, of the type of x.
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
        /// Element type of x and of the residual.
        x_type(DType) sets x.dtype,
        /// Element type of out.
        out_type(DType) sets out.dtype,
    }

    /// `[rows, dim]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 2] {
        self.sizes
    }

    pub(crate) fn epsilon(&self) -> f32 {
        self.epsilon.get()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [rows, dim] = self.sizes;
        check_size("rows", rows, MAX_LEN)?;
        check_size("dim", dim, MAX_WIDTH)?;
        // Without it, a row of zeros would be 0 / 0.
        if !(self.epsilon().is_normal() && self.epsilon() > 0.0) {
            return Err(Error::NotPositive { name: "epsilon", got: self.epsilon().to_string() });
        }
        check_float("x_type", self.x.dtype)?;
        check_float("out_type", self.out.dtype)
    }

    pub(crate) fn x_view(&self) -> View {
        let [rows, dim] = self.sizes;
        self.x.view(Tensor::X, [1, 1, rows, dim])
    }

    pub(crate) fn out_view(&self) -> View {
        let [rows, dim] = self.sizes;
        self.out.view(Tensor::Out, [1, 1, rows, dim]).written()
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [rows, dim] = self.sizes;
        let residual = Storage { dtype: self.x.dtype, ..self.residual };
        let one = || View::dense(tensor, [1, 1, 1, dim], DType::F32);
        match tensor {
            Tensor::X => Some(self.x_view()),
            Tensor::Residual => self.has_residual.then(|| residual.view(tensor, [1, 1, rows, dim])),
            Tensor::NormWeight => (self.kind != NormKind::Unit).then(one),
            Tensor::LayerBias => (self.kind == NormKind::Layer).then(one),
            Tensor::Out => Some(self.out_view()),
            _ => None,
        }
    }
}
