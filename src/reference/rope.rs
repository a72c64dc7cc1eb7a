//! Rotary position embedding, of a tensor and of what is appended.

use crate::{
    problem::{
        rope::{Angles, Pairs, Rope, Rotary},
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        real::Real,
        stored::{Stored, places, write, zeros},
    },
    tensor::Tensor,
};

/// Rotary position embedding in `f64`, in the layout of out.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Angles, Inputs, Pairs, Rope, Rotary, Tensor, Data, reference};
/// let rotary = Rotary { dim: 2, pairs: Pairs::Halves, angles: Angles::Rows };
/// let inputs = Inputs::default().set(Tensor::Q, Data::Floats(&[2.0, 3.0])).rotary(&[0.0], &[1.0]);
/// assert_eq!(reference::rope(&Rope::new([1, 1, 1, 2], rotary), &inputs), [-3.0, 2.0]); // a quarter turn
/// ```
#[must_use]
pub fn rope(rope: &Rope, inputs: &Inputs<'_>) -> Vec<f64> {
    accept(rope, inputs);
    turned(rope, inputs)
}

/// The same in f32, rounded to the type of out.
pub(super) fn naive_rope(rope: &Rope, inputs: &Inputs<'_>) -> Outputs<f32> {
    let mut out = turned(rope, inputs);
    rope.out_view().dtype.round_all(&mut out);
    Outputs::of(out)
}

pub(super) fn turned<T: Real>(rope: &Rope, inputs: &Inputs<'_>) -> Vec<T> {
    let (q, out) = (Stored::floats(rope.q_view(), inputs), rope.out_view());
    let [batch, _, len, _] = rope.sizes();
    let rotation = Rotation::new(rope.rotary, batch, len, inputs);
    let mut turned = zeros(&out);
    for place in places(rope.sizes()) {
        write(&out, &mut turned, place, &rotation.turn(place.0, place.2.into(), q.row(place)));
    }
    turned
}

/// A rotation and its tables.
pub(super) struct Rotation<'a> {
    rotary: Rotary,
    /// Rows of each batch item.
    len: u32,
    cos: Stored<'a, f32>,
    sin: Stored<'a, f32>,
    ids: &'a [u32],
    lens: &'a [u32],
}

impl<'a> Rotation<'a> {
    pub(super) fn new(rotary: Rotary, batch: u32, len: u32, inputs: &Inputs<'a>) -> Self {
        let [cos, sin] =
            [rotary.cos_view(batch, len), rotary.sin_view(batch, len)].map(|view| Stored::floats(view, inputs));
        let [ids, lens] = [Tensor::Positions, Tensor::KvLens].map(|tensor| inputs.get_words(tensor));
        Self { rotary, len, cos, sin, ids, lens }
    }

    /// A row turned as row `i` of batch item `b`, below 0 that of an earlier append.
    pub(super) fn turn<T: Real>(&self, b: u32, i: i64, row: &[f32]) -> Vec<T> {
        let own = i.max(0) as u32;
        let place = match self.rotary.angles {
            Angles::Appended { positions } => {
                let position = i64::from(self.lens[b as usize]) + i;
                (0, 0, position.clamp(0, i64::from(positions - 1)) as u32)
            }
            Angles::Ids { positions } => (0, 0, self.ids[(b * self.len + own) as usize].min(positions - 1)),
            Angles::Rows => (b, 0, own),
        };
        let mut turned: Vec<T> = row.iter().map(|&x| x.into()).collect();
        let half = (self.rotary.dim / 2) as usize;
        for (n, (&cos, &sin)) in self.cos.row(place).iter().zip(self.sin.row(place)).enumerate() {
            let (a, b) = match self.rotary.pairs {
                Pairs::Halves => (n, n + half),
                Pairs::Interleaved => (2 * n, 2 * n + 1),
            };
            let (x, y, cos, sin) = (T::from(row[a]), T::from(row[b]), T::from(cos), T::from(sin));
            turned[a] = cos * x - sin * y;
            turned[b] = sin * x + cos * y;
        }
        turned
    }
}
