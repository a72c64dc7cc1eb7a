//! Inputs as a device holds them.

use std::borrow::Cow;

use crate::{
    problem::values::{Data, Inputs, Outputs},
    reference::real::Real,
    tensor::{dtype::DType, view::View},
};

/// Batch item, query head (or key head), query (or key).
pub(super) type Place = (u32, u32, u32);

/// A tensor with its values.
pub(super) struct Stored<'a, T: Clone> {
    pub(super) view: View,
    pub(super) data: Cow<'a, [T]>,
}

impl<'a> Stored<'a, f32> {
    /// The numbers that were given, rounded to the tensor's element type.
    pub(super) fn floats(view: View, inputs: &Inputs<'a>) -> Self {
        let data = inputs.get_floats(view.tensor);
        let mut data = Cow::Borrowed(data);
        if view.dtype != DType::F32 {
            view.dtype.round_all(data.to_mut());
        }
        Self { view, data }
    }

    /// Puts numbers, rounded to the tensor's element type, into one row.
    pub(super) fn set(&mut self, place: Place, values: impl Iterator<Item = f32>) {
        let row = &mut self.data.to_mut()[start(&self.view, place)..];
        row.iter_mut().zip(values).for_each(|(x, value)| *x = self.view.dtype.round(value));
    }

    /// All elements up to the last that the tensor reaches, gaps included.
    pub(super) fn widened<T: Real>(&self) -> Vec<T> {
        self.data[..self.view.extent().unwrap_or(0) as usize].iter().map(|&x| x.into()).collect()
    }
}

impl<'a> Stored<'a, bool> {
    pub(super) fn bools(view: View, inputs: &Inputs<'a>) -> Self {
        let data = match inputs.get(view.tensor) {
            Some(Data::Bools(data)) => data,
            _ => &[],
        };
        Self { view, data: data.into() }
    }
}

impl<T: Clone> Stored<'_, T> {
    /// The elements of one row.
    pub(super) fn row(&self, place: Place) -> &[T] {
        &self.data[start(&self.view, place)..][..self.view.sizes[3] as usize]
    }
}

/// Where a row starts in its tensor.
pub(super) fn start(view: &View, (batch, head, i): Place) -> usize {
    let at = view.layout;
    (at.offset + u64::from(batch) * at.batch + u64::from(head) * at.head + u64::from(i) * at.row) as usize
}

/// Every row of a tensor of these sizes: batch items, heads, rows.
pub(super) fn places([batch, heads, rows, _]: [u32; 4]) -> impl Iterator<Item = Place> {
    let heads = (0..batch).flat_map(move |b| (0..heads).map(move |h| (b, h)));
    heads.flat_map(move |(b, h)| (0..rows).map(move |i| (b, h, i)))
}

/// Zeros for a tensor and the gaps in it.
pub(super) fn zeros<T: Clone + Default>(view: &View) -> Vec<T> {
    vec![T::default(); view.extent().unwrap_or(0) as usize]
}

/// Puts values where a row starts.
pub(super) fn write<T: Copy>(view: &View, data: &mut [T], place: Place, values: &[T]) {
    data[start(view, place)..][..values.len()].copy_from_slice(values);
}

/// Outputs of zeros, for those of these tensors that are floats and nothing but outputs.
pub(super) fn blank<T: Clone + Default>(views: impl Iterator<Item = View>) -> Outputs<T> {
    let mut outputs = Outputs::default();
    for view in views.filter(|view| view.is_output() && !view.is_input() && view.dtype.is_float()) {
        outputs.set(view.tensor, zeros(&view));
    }
    outputs
}

/// Puts values where a row of an output starts, if that output is asked for.
pub(super) fn put<T: Copy>(outputs: &mut Outputs<T>, view: Option<View>, place: Place, values: &[T]) {
    let Some(view) = view else { return };
    if let Some(data) = outputs.get_mut(view.tensor) {
        write(&view, data, place, values);
    }
}
