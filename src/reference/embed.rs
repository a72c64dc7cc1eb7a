//! Rows of a table by number.

use super::{
    formula::Sum,
    real::Real,
    stored::{Stored, round, write, zeros},
};
use crate::{
    embed::Embed,
    tensor::{Inputs, Outputs, Tensor},
};

/// An [`Embed`] in `f64`, in the layout of out.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Data, Embed, Inputs, Tensor, reference};
/// let inputs = Inputs::default()
///     .set(Tensor::Ids, Data::Words(&[1, 0, 7]))
///     .set(Tensor::Table, Data::Floats(&[0.5, 1.5]));
/// assert_eq!(reference::embed(&Embed::new(3, 2, 1), &inputs), [1.5, 0.5, 0.0]); // there is no row 7
/// ```
#[must_use]
pub fn embed(embed: &Embed, inputs: &Inputs<'_>) -> Vec<f64> {
    super::accept(embed, inputs);
    embedded(embed, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_embed(embed: &Embed, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut out = embedded(embed, inputs, order);
    embed.view(Tensor::Out).iter().for_each(|view| round(view.dtype, &mut out));
    Outputs::of(out)
}

pub(super) fn embedded<T: Real>(embed: &Embed, inputs: &Inputs<'_>, order: Sum) -> Vec<T> {
    let stored = |tensor| embed.view(tensor).map(|view| Stored::floats(view, inputs));
    let (table, positions) = (stored(Tensor::Table).expect("it has a table"), stored(Tensor::Positions));
    let out = embed.view(Tensor::Out).expect("it has out");
    let [rows, vocabulary, _] = embed.sizes();
    let mut embedded = zeros(&out);
    for (i, &id) in (0..rows).zip(inputs.get_words(Tensor::Ids)).filter(|&(_, &id)| id < vocabulary) {
        let mut row: Vec<T> = table.row((0, 0, id)).iter().map(|&x| order.term(x).into()).collect();
        if let (Some(positions), Some(at)) = (&positions, embed.positions) {
            let added = positions.row((0, 0, at.first + i % at.period));
            row.iter_mut().zip(added).for_each(|(x, &y)| *x += order.term(y).into());
        }
        write(&out, &mut embedded, (0, 0, i), &row);
    }
    embedded
}
