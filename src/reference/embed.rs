//! Rows of a table by number.

use crate::{
    problem::{
        embed::Embed,
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
    accept(embed, inputs);
    embedded(embed, inputs, Sum::Forwards)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_embed(embed: &Embed, inputs: &Inputs<'_>, order: Sum) -> Outputs<f32> {
    let mut out = embedded(embed, inputs, order);
    embed.out_view().dtype.round_all(&mut out);
    Outputs::of(out)
}

pub(super) fn embedded<T: Real>(embed: &Embed, inputs: &Inputs<'_>, order: Sum) -> Vec<T> {
    let stored = |view| Stored::floats(view, inputs);
    let (table, positions) = (stored(embed.table_view()), embed.view(Tensor::Positions).map(stored));
    let out = embed.out_view();
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
