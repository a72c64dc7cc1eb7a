//! Random values for each tensor of each problem.

use half::bf16;
use wgpu_attention::{DType, Problem, Spec, Tensor, View};

use super::{
    block_masks::{block_form, block_words},
    case::{Values, each},
};

/// Values as long as the tensor reaches, NaN in gaps between strides. Queries and keys are in -2..2, other floats in -1..1. About a tenth
/// of the biases are -inf and about a quarter of the keep-mask is false, in blocks and alone. Lengths go to the end
/// of what they count, positions and ids beyond it.
///
/// # Panics
///
/// For weights, which a test must give: they are nothing without those that they are compared with.
pub(crate) fn draw(problem: &Problem, view: &View, rng: &mut fastrand::Rng) -> Values {
    let rows_of = |tensor| problem.view(tensor).map_or(0, |view| view.sizes[2]);
    match view.tensor {
        Tensor::Keep => {
            let (mut data, hidden) = (vec![true; extent(view)], Hidden::of(view, rng));
            each(view, |at, [.., i, j]| data[at] = !hidden.hides(rng, i, j));
            Values::Bools(data)
        }
        Tensor::Bias => {
            let (lowest, hidden) = (lowest_bias(problem, view.dtype), Hidden::of(view, rng));
            floats(view, |[.., i, j]| if hidden.hides(rng, i, j) { f32::NEG_INFINITY } else { bias(rng, lowest) })
        }
        Tensor::Weights | Tensor::OtherWeights => panic!("{:?} is for the test to give", view.tensor),
        Tensor::PartLses => part_lses(problem, view, rng),
        Tensor::Q | Tensor::K | Tensor::NewK | Tensor::Sinks => floats(view, |_| 2.0 * (2.0 * rng.f32() - 1.0)),
        _ if view.dtype != DType::U32 => floats(view, |_| 2.0 * rng.f32() - 1.0),
        Tensor::BlockMask => match attention(problem) {
            Some((spec, form)) if form == block_form(spec.shape(), form.block, form.heads > 1) => {
                Values::Words(block_words(form, rng))
            }
            // Of another mask, which the test has.
            _ => Values::Words(vec![0; extent(view)]),
        },
        Tensor::KvLens => words(view, rng, rows_of(Tensor::K).max(rows_of(Tensor::Cos)) + 1),
        Tensor::Ranges => words(view, rng, rows_of(Tensor::K) + 1),
        Tensor::Positions => words(view, rng, rows_of(Tensor::Cos) * 4 / 3),
        Tensor::Ids => ids(view, rng, rows_of(Tensor::Table)),
        Tensor::CuQ => Values::Words(cumulative(rng, extent(view), rows_of(Tensor::Q))),
        Tensor::CuK => Values::Words(cumulative(rng, extent(view), rows_of(Tensor::K))),
        other => panic!("{other:?} is no input"),
    }
}

fn extent(view: &View) -> usize {
    view.extent().expect("a legal problem") as usize
}

fn floats(view: &View, mut number: impl FnMut([u32; 4]) -> f32) -> Values {
    let mut data = vec![f32::NAN; extent(view)];
    each(view, |at, place| data[at] = number(place));
    Values::Floats(data)
}

fn words(view: &View, rng: &mut fastrand::Rng, past: u32) -> Values {
    Values::Words((0..extent(view)).map(|_| rng.u32(..past)).collect())
}

/// Rows of a table, and one in nine as far beyond it as numbers go.
fn ids(view: &View, rng: &mut fastrand::Rng, rows: u32) -> Values {
    Values::Words((0..extent(view)).map(|_| if rng.u32(..9) == 0 { u32::MAX } else { rng.u32(..rows + 5) }).collect())
}

/// The attention of a problem and the form of its block mask, where it has both.
fn attention(problem: &Problem) -> Option<(&Spec, wgpu_attention::BlockForm)> {
    let spec = match problem {
        Problem::Attention(spec) => spec,
        Problem::Measures(measures) => measures.spec(),
        _ => return None,
    };
    Some((spec, spec.block_form()?))
}

/// Which pairs a bias or a keep-mask hides: every third block of 40 x 70 pairs, and one pair in ten of every other third. Where all
/// pairs are one block, it is three times in four one of which some are seen.
struct Hidden {
    first: u32,
}

impl Hidden {
    fn of(view: &View, rng: &mut fastrand::Rng) -> Self {
        let [.., rows, columns] = view.sizes;
        let some = rows <= 40 && columns <= 70 && rng.u32(..4) > 0;
        Self { first: u32::from(some) }
    }

    fn hides(&self, rng: &mut fastrand::Rng, i: u32, j: u32) -> bool {
        match (i / 40 + j / 70 + self.first) % 3 {
            0 => true,
            1 => rng.u32(..10) == 0,
            _ => false,
        }
    }
}

/// The lowest number of a type. Extremes would hide faults in scores that are themselves compared, so there it is not so low.
fn lowest_bias(problem: &Problem, dtype: DType) -> f32 {
    match dtype {
        _ if problem.view(Tensor::Scores).is_some() => -8.0,
        DType::F16 => -65504.0,
        DType::Bf16 => bf16::MIN.to_f32(),
        _ => f32::MIN,
    }
}

/// Mostly small, sometimes none, now and then as low as numbers go: such a key is visible all the same.
fn bias(rng: &mut fastrand::Rng, lowest: f32) -> f32 {
    match rng.u32(..50) {
        0 => lowest,
        1..20 => 0.0,
        _ => 4.0 * rng.f32() - 2.0,
    }
}

/// Of every row one part of three saw nothing, and of every fifth row none saw anything.
fn part_lses(problem: &Problem, view: &View, rng: &mut fastrand::Rng) -> Values {
    let [batch, heads, rows, _] = problem.view(Tensor::Out).expect("a merge has an output").sizes;
    let rows = (batch * heads * rows) as usize;
    let unseen = |at: usize| (at / rows + at % rows).is_multiple_of(3) || (at % rows).is_multiple_of(5);
    let lse = |at| if unseen(at) { f32::NEG_INFINITY } else { 2.0 * rng.f32() - 1.0 };
    Values::Floats((0..extent(view)).map(lse).collect())
}

/// Growing starts of sequences, empty ones among them; the last may end before the rows do.
fn cumulative(rng: &mut fastrand::Rng, count: usize, len: u32) -> Vec<u32> {
    let mut starts: Vec<_> = (0..count).map(|_| rng.u32(..=len)).collect();
    if rng.bool() {
        (starts[0], starts[count - 1]) = (0, len);
    }
    starts.sort_unstable();
    starts
}
