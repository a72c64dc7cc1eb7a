//! Normalisation of rows.

use crate::{
    problem::{
        norm::{Norm, NormKind},
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::Sum,
        real::Real,
        stored::{Stored, write, zeros},
    },
    tensor::Tensor,
};

/// A [`Norm`] in `f64`, in the layout of out.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Data, Inputs, Norm, Tensor, reference};
/// let inputs = Inputs::default().set(Tensor::X, Data::Floats(&[3.0, -4.0]));
/// assert_eq!(reference::norm(&Norm::unit(1, 2, 1e-6), &inputs), [0.6, -0.8]);
/// ```
#[must_use]
pub fn norm(norm: &Norm, inputs: &Inputs<'_>) -> Vec<f64> {
    accept(norm, inputs);
    normalised(norm, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_norm(norm: &Norm, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut out = normalised(norm, inputs, order);
    norm.out_view().dtype.round_all(&mut out);
    Outputs::of(out)
}

/// Where magnitudes are asked for, those of x, residual, mean and bias.
pub(super) fn normalised<T: Real>(norm: &Norm, inputs: &Inputs<'_>, order: Sum) -> Vec<T> {
    let stored = |view| Stored::floats(view, inputs);
    let (x, residual) = (stored(norm.x_view()), norm.view(Tensor::Residual).map(stored));
    let [weight, bias] = [Tensor::NormWeight, Tensor::LayerBias].map(|tensor| inputs.get_floats(tensor));
    let out = norm.out_view();
    let mut normalised = zeros(&out);
    for i in 0..norm.sizes()[0] {
        let added = |d: usize| residual.as_ref().map_or(T::default(), |all| all.row((0, 0, i))[d].into());
        let terms = |sum: Sum| move |x: T, y: T| sum.size(x) + sum.size(y);
        let row_of = |sum: Sum| -> Vec<T> {
            x.row((0, 0, i)).iter().enumerate().map(|(d, &x)| terms(sum)(x.into(), added(d))).collect()
        };
        let row = row_of(Sum::Forwards);
        let (mean, length) = measure(norm, &row, order);
        let factor = |d: usize| weight.get(d).map_or(T::of_integer(1), |&weight| order.size(weight.into()));
        let plus = |d: usize| bias.get(d).map_or(T::default(), |&bias| order.size(bias.into()));
        let less = T::default() - mean;
        let row = row_of(order).into_iter().enumerate();
        let row: Vec<T> = row.map(|(d, x)| (x + order.size(less)) / length * factor(d) + plus(d)).collect();
        write(&out, &mut normalised, (0, 0, i), &row);
    }
    normalised
}

/// The mean that is taken off, and by what the rest is divided.
fn measure<T: Real>(norm: &Norm, row: &[T], order: Sum) -> (T, T) {
    let (n, epsilon) = (T::of_integer(row.len() as i64), T::from(norm.epsilon()));
    let sum = |of: &dyn Fn(T) -> T| -> T { order.of(row.iter().map(|&x| of(x))).into_iter().sum() };
    let mean = if norm.kind == NormKind::Layer { sum(&|x| x) / n } else { T::default() };
    let squares = sum(&|x| (x - mean) * (x - mean));
    match norm.kind {
        NormKind::Unit => (mean, squares.sqrt().max(epsilon)),
        NormKind::Layer | NormKind::Rms => (mean, (squares / n + epsilon).sqrt()),
    }
}
