//! Two attentions compared, row by row.

use crate::{
    error::Error,
    problem::{
        limits::{MAX_LEN, check_size},
        setters::setters,
    },
    tensor::{Tensor, dtype::DType, view::View},
};

/// Compares the weights of two attentions row by row: what a change of model, of mask or of precision did to where each query looks.
///
/// ```text
/// divergence = sum of a ln(2 a / (a + b)) / 2 + b ln(2 b / (a + b)) / 2     a, b: the weights of a key, each of its row's sum
/// ```
///
/// It binds `weights` and `other_weights`, both `[batch, heads, rows, kv_len]` f32, and writes `divergence [batch, heads, rows, 2]`
/// f32: of each row the Jensen-Shannon divergence in nats (Lin 1991), from 0 to `ln 2`, and the largest difference of two weights.
///
/// For the divergence each row counts as what it is of its sum, so that sinks do not matter. A row whose sum is below the smallest
/// normal f32 has no weight: the divergence is 0 if both have none, `ln 2` if one has. The largest difference is of the weights as
/// they are. Weights are finite and not negative.
///
/// Small divergences are not what is left when logarithms cancel: where each weight is off by up to a ten-thousandth of itself, the
/// divergence is some 4e-10, right to a thousandth. What f32 does to the shares themselves is below 1e-13.
///
/// ```
/// use wgpu_attention::{Divergence, Problem};
/// assert_eq!(Problem::from(Divergence::new([1, 8, 512, 512])).check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Divergence {
    sizes: [u32; 4],
    pub(crate) shared_buffer: bool,
}

impl Divergence {
    /// Of weights `[batch, heads, rows, kv_len]`.
    pub fn new(sizes: [u32; 4]) -> Self {
        Self { sizes, shared_buffer: false }
    }

    setters! {}

    /// `[batch, heads, rows, kv_len]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 4] {
        self.sizes
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [batch, heads, rows, kv_len] = self.sizes;
        check_size("batch", batch, u32::MAX)?;
        check_size("heads", heads, u32::MAX)?;
        check_size("rows", rows, MAX_LEN)?;
        check_size("kv_len", kv_len, MAX_LEN)
    }

    pub(crate) fn weights_view(&self) -> View {
        View::dense(Tensor::Weights, self.sizes, DType::F32)
    }

    pub(crate) fn other_weights_view(&self) -> View {
        View::dense(Tensor::OtherWeights, self.sizes, DType::F32)
    }

    pub(crate) fn divergence_view(&self) -> View {
        let [batch, heads, rows, _] = self.sizes;
        View::dense(Tensor::Divergence, [batch, heads, rows, 2], DType::F32).written()
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        match tensor {
            Tensor::Weights => Some(self.weights_view()),
            Tensor::OtherWeights => Some(self.other_weights_view()),
            Tensor::Divergence => Some(self.divergence_view()),
            _ => None,
        }
    }
}
