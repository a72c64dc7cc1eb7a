//! Keys with what a convolution of the previous weights finds.

use crate::{
    problem::{
        locate::Locate,
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::Sum,
        real::Real,
        stored::{Stored, places, write, zeros},
    },
};

/// A [`Locate`] in `f64`, in the layout of out.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Data, Inputs, Locate, Tensor, reference};
/// // One filter, which looks at the key before.
/// let inputs = Inputs::default()
///     .set(Tensor::K, Data::Floats(&[1.0, 2.0, 3.0]))
///     .set(Tensor::Previous, Data::Floats(&[0.25, 0.75, 0.0]))
///     .set(Tensor::Filters, Data::Floats(&[4.0, 0.0, 0.0]))
///     .set(Tensor::FilterWeights, Data::Floats(&[10.0]));
/// let out = reference::locate(&Locate::new([1, 1, 3, 1], 1, 3), &inputs);
/// assert_eq!(out, [1.0, 2.0 + 10.0, 3.0 + 30.0]);
/// ```
#[must_use]
pub fn locate(locate: &Locate, inputs: &Inputs<'_>) -> Vec<f64> {
    accept(locate, inputs);
    located(locate, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_locate(locate: &Locate, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut out = located(locate, inputs, order);
    locate.out_view().dtype.round_all(&mut out);
    Outputs::of(out)
}

pub(super) fn located<T: Real>(locate: &Locate, inputs: &Inputs<'_>, order: Sum) -> Vec<T> {
    let stored = |view| Stored::floats(view, inputs);
    let (k, previous) = (stored(locate.k_view()), stored(locate.previous_view()));
    let (filters, weights) = (stored(locate.filters_view()), stored(locate.filter_weights_view()));
    let out = locate.out_view();
    let mut result = zeros(&out);
    for (b, h, j) in places(locate.sizes()) {
        let alignment = previous.row((b, h.min(previous.view.sizes[1] - 1), 0));
        let found: Vec<T> = (0..locate.channels)
            .map(|c| {
                let filter = filters.row((0, 0, c)).iter().enumerate();
                let at = |t: usize| (j as usize + t).checked_sub((locate.width as usize - 1) / 2);
                let terms = filter.filter_map(|(t, &x)| Some((x, *alignment.get(at(t)?)?)));
                let product = |(x, weight)| T::from(order.term(x)) * T::from(order.term(weight));
                order.of(terms.map(product)).into_iter().sum()
            })
            .collect();
        let row: Vec<T> = (0..)
            .zip(k.row((b, h, j)))
            .map(|(d, &key)| {
                let terms = weights.row((0, 0, d)).iter().zip(&found).map(|(&u, &f)| T::from(order.term(u)) * f);
                let all = std::iter::once(T::from(order.term(key))).chain(terms);
                order.of(all).into_iter().sum()
            })
            .collect();
        write(&out, &mut result, (b, h, j), &row);
    }
    result
}
