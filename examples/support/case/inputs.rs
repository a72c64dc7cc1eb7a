//! The input tensors that a case names, and how their dimensions follow each other.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use wgpu_attention::{Order, Problem, Tensor};

use super::{
    Result, file,
    given::{Given, Source},
};

/// A problem, what fills its inputs, and where the outputs of the case are.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) problem: Problem,
    pub(super) given: Vec<(Tensor, Given<'a>)>,
    /// Name, tensor, and shape in the case's layout; the first is out.
    pub(super) outputs: Vec<(&'static str, Tensor, Vec<usize>)>,
}

/// The input tensors; each is taken once, so that what is left was not understood.
pub(super) struct Inputs<'a> {
    pub(super) file: SafeTensors<'a>,
    pub(super) left: Vec<String>,
}

impl<'a> Inputs<'a> {
    pub(super) fn take(&mut self, name: &str) -> Result<Option<TensorView<'a>>> {
        let Some(index) = self.left.iter().position(|left| left == name) else { return Ok(None) };
        self.left.remove(index);
        self.file.tensor(name).map(Some).map_err(|_| format!("input {name} is not in the file").into())
    }

    pub(super) fn need(&mut self, name: &str) -> Result<TensorView<'a>> {
        self.take(name)?.ok_or_else(|| format!("input {name} is not listed").into())
    }

    /// A tensor of floats that must be there.
    pub(super) fn floats(&mut self, name: &str) -> Result<Source<'a>> {
        Source::stored(self.need(name)?)
    }

    /// A tensor of one of these shapes and this type.
    pub(super) fn shaped(&mut self, name: &str, dtype: Dtype, shapes: &[&[u32]]) -> Result<Option<TensorView<'a>>> {
        let Some(view) = self.take(name)? else { return Ok(None) };
        match view.dtype() == dtype && shapes.iter().any(|shape| is(view.shape(), shape)) {
            true => Ok(Some(view)),
            false => Err(format!("{name} is {} {:?}, not {dtype} {shapes:?}", view.dtype(), view.shape()).into()),
        }
    }

    /// A tensor of counts below `limit`, of this shape.
    pub(super) fn counts(&mut self, name: &str, shape: &[u32], limit: u32) -> Result<Option<Vec<u32>>> {
        let view = self.shaped(name, Dtype::I32, &[shape])?;
        view.map(|view| file::counts(name, &view, limit)).transpose()
    }
}

/// Whether these are the sizes of a tensor.
pub(super) fn is(shape: &[usize], sizes: &[u32]) -> bool {
    shape.iter().copied().eq(sizes.iter().map(|&size| size as usize))
}

/// How the dimensions of q, k, v and out follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// `[batch, heads, len, dim]`.
    Bhsd,
    /// `[batch, len, heads, dim]`.
    Bshd,
    /// `[batch, len, heads * dim]`.
    Flat,
    /// `[len of all sequences, heads, dim]`.
    Packed,
}

pub(super) const FORMS: [(&str, Form); 4] =
    [("bhsd", Form::Bhsd), ("bshd", Form::Bshd), ("3d", Form::Flat), ("thd", Form::Packed)];

impl Form {
    pub(super) fn order(self) -> Order {
        if self == Self::Bhsd { Order::Bhsd } else { Order::Bshd }
    }

    /// `[batch, heads, len, dim]` of a tensor.
    pub(super) fn sizes(self, name: &str, shape: &[usize], heads: u32) -> Result<[u32; 4]> {
        let wide = heads as usize;
        let sizes = match (self, shape) {
            (Self::Bhsd, &[batch, h, len, dim]) | (Self::Bshd, &[batch, len, h, dim]) if h == wide => [batch, len, dim],
            (Self::Packed, &[len, h, dim]) if h == wide => [1, len, dim],
            (Self::Flat, &[batch, len, row]) if wide > 0 && row % wide == 0 => [batch, len, row / wide],
            _ => return Err(format!("{name} {shape:?} is not of {heads} heads in layout {self:?}").into()),
        };
        match sizes.map(u32::try_from) {
            [Ok(batch), Ok(len), Ok(dim)] => Ok([batch, heads, len, dim]),
            _ => Err(format!("{name} {shape:?} is too large").into()),
        }
    }

    /// The shape of a tensor of `[batch, heads, len, dim]`.
    pub(super) fn shape(self, [batch, heads, len, dim]: [u32; 4]) -> Vec<usize> {
        let [batch, heads, len, dim] = [batch, heads, len, dim].map(|size| size as usize);
        match self {
            Self::Bhsd => vec![batch, heads, len, dim],
            Self::Bshd => vec![batch, len, heads, dim],
            Self::Flat => vec![batch, len, heads * dim],
            Self::Packed => vec![len, heads, dim],
        }
    }
}
