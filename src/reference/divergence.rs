//! How far two attentions are apart.

use crate::{
    problem::{
        divergence::Divergence,
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::Sum,
        real::Real,
        stored::{Stored, places, write, zeros},
    },
    tensor::Tensor,
};

/// A [`Divergence`] in `f64`.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Data, Divergence, Inputs, Tensor, reference};
/// // Both look at one key in two, and at no common one; then both alike, one of them with half its weight on a sink.
/// let (a, b) = ([1.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.25, 0.25]);
/// let inputs = Inputs::default()
///     .set(Tensor::Weights, Data::Floats(&a))
///     .set(Tensor::OtherWeights, Data::Floats(&b));
/// let outputs = reference::divergence(&Divergence::new([1, 1, 2, 2]), &inputs);
/// assert_eq!(outputs.divergence().unwrap(), [2f64.ln(), 1.0, 0.0, 0.25]);
/// ```
#[must_use]
pub fn divergence(divergence: &Divergence, inputs: &Inputs<'_>) -> Outputs<f64> {
    accept(divergence, inputs);
    compared(divergence, inputs, Sum::Forwards)
}

/// The same for every number type.
pub(super) fn compared<T: Real>(divergence: &Divergence, inputs: &Inputs<'_>, order: Sum) -> Outputs<T> {
    let [a, b] = [divergence.weights_view(), divergence.other_weights_view()].map(|view| Stored::floats(view, inputs));
    let view = divergence.divergence_view();
    let mut data = zeros(&view);
    for place in places(view.sizes) {
        let (a, b) = (a.row(place), b.row(place));
        write(&view, &mut data, place, &[jensen_shannon(a, b, order), largest_difference(a, b)]);
    }
    let mut outputs = Outputs::default();
    outputs.set(Tensor::Divergence, data);
    outputs
}

/// The Jensen-Shannon divergence of two rows of weights in nats, each as what it is of its sum (Lin 1991).
pub(crate) fn jensen_shannon<T: Real>(a: &[f32], b: &[f32], order: Sum) -> T {
    let pairs = order.of(a.iter().zip(b).map(|(&a, &b)| (T::from(a), T::from(b))));
    let sums = [pairs.iter().map(|pair| pair.0).sum::<T>(), pairs.iter().map(|pair| pair.1).sum()];
    let (least, most) = (T::from(f32::MIN_POSITIVE), T::from(2.0).ln());
    match sums.map(|sum| sum >= least) {
        [false, false] => return T::default(),
        [true, true] => {}
        _ => return most,
    }
    let term = |&(a, b): &(T, T)| {
        let (a, b) = (a / sums[0], b / sums[1]);
        let both = a + b;
        if both > T::default() { both * spread((a - b) / both) } else { T::default() }
    };
    let sum = pairs.iter().map(term).sum::<T>() / T::from(4.0);
    if sum < most { sum } else { most }
}

/// `(1 + d) ln(1 + d) + (1 - d) ln(1 - d)`; for small `d` as a sum in which little cancels.
fn spread<T: Real>(d: T) -> T {
    let [one, two] = [1.0, 2.0].map(T::from);
    if d.abs() < T::from(0.5) {
        return (T::default() - d * d).ln_1p() + two * d * d.atanh();
    }
    let term = |x: T| if x > T::default() { x * x.ln() } else { T::default() };
    term(one + d) + term(one - d)
}

fn largest_difference<T: Real>(a: &[f32], b: &[f32]) -> T {
    a.iter().zip(b).map(|(&a, &b)| (T::from(a) - T::from(b)).abs()).fold(T::default(), T::max)
}
