//! A linear layer.

use crate::{
    problem::{
        linear::{Activation, Linear},
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

/// A [`Linear`] in `f64`, in the layout of out.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Activation, Data, Inputs, Linear, Tensor, reference};
/// let inputs = Inputs::default()
///     .set(Tensor::X, Data::Floats(&[1.0, 2.0]))
///     .set(Tensor::Weight, Data::Floats(&[3.0, 4.0, -5.0, 0.0]))
///     .set(Tensor::LayerBias, Data::Floats(&[0.5, 0.5]));
/// let linear = Linear::new(1, 2, 2).bias().activation(Activation::Relu);
/// assert_eq!(reference::linear(&linear, &inputs), [11.5, 0.0]);
/// ```
#[must_use]
pub fn linear(linear: &Linear, inputs: &Inputs<'_>) -> Vec<f64> {
    accept(linear, inputs);
    layer(linear, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_linear(linear: &Linear, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut out = layer(linear, inputs, order);
    linear.out_view().dtype.round_all(&mut out);
    Outputs::of(out)
}

/// Where magnitudes are asked for, those of the terms, which no activation makes larger.
pub(super) fn layer<T: Real>(linear: &Linear, inputs: &Inputs<'_>, order: Sum) -> Vec<T> {
    let stored = |view| Stored::floats(view, inputs);
    let (x, weight, out) = (stored(linear.x_view()), stored(linear.weight_view()), linear.out_view());
    let (residual, bias) = (linear.view(Tensor::Residual).map(stored), inputs.get_floats(Tensor::LayerBias));
    let [rows, _, outputs] = linear.sizes();
    let mut layer = zeros(&out);
    for i in 0..rows {
        let element = |o: u32| {
            let products = x.row((0, 0, i)).iter().zip(weight.row((0, 0, o)));
            let products = order.of(products.map(|(&x, &w)| order.size(T::from(x) * T::from(w))));
            let sum: T = products.into_iter().sum();
            let sum = bias.get(o as usize).map_or(sum, |&bias| sum + order.size(bias.into()));
            let sum = if order == Sum::Magnitudes { sum } else { activated(linear.activation, sum) };
            residual.as_ref().map_or(sum, |all| sum + order.size(all.row((0, 0, i))[o as usize].into()))
        };
        let row: Vec<T> = (0..outputs).map(element).collect();
        write(&out, &mut layer, (0, 0, i), &row);
    }
    layer
}

fn activated<T: Real>(activation: Activation, x: T) -> T {
    let [half, one] = [0.5, 1.0].map(T::from);
    let zero = T::default();
    match activation {
        Activation::None => x,
        Activation::Gelu => half * x * (one + (x * half.sqrt()).erf()),
        Activation::GeluTanh => {
            let factor = (T::of_integer(2) / T::of_integer(1).atan() / T::of_integer(4)).sqrt();
            let cubic = T::of_integer(44715) / T::of_integer(1_000_000);
            half * x * (one + (factor * (x + cubic * x * x * x)).tanh())
        }
        Activation::Relu => x.max(zero),
        Activation::Silu => x / (one + (zero - x).exp()),
    }
}
