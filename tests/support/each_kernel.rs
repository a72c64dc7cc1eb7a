//! One small problem for each kernel: together they run all kernels that a device can have.

use wgpu_attention::{
    Algorithm, Align, Angles, Caps, DType, Divergence, Embed, Layout, Linear, Locate, MapOf, Mask, Measures, Merge,
    Norm, Pairs, Pool, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec, Tensor,
    kernels::{Choice, Kernel},
};

use super::{case::Case, numbers::numbers};

/// Rows and keys end inside tiles, heads share keys, dimensions are no powers of two.
const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 37, kv_len: 75, head_dim: 12, value_dim: 20 };

/// The problems, each with random inputs.
pub(crate) fn cases() -> Vec<Case<Problem>> {
    let rotary = Rotary { dim: 8, pairs: Pairs::Halves, angles: Angles::Rows };
    let spec = Spec::new(SHAPE);
    let square = Layout::broadcast(&[37, 75]).expect("two sizes");
    let all =
        spec.clone().mask(Mask::causal()).align(Align::End).alibi(Slopes::Head).sinks().keep(square, 75).kv_lens();
    let halves = |half| spec.clone().q_type(half).kv_type(half).out_type(half);
    let measures = Measures::of(&spec).ranges(2).top(5).received().map(4, 6, Pool::Sum, MapOf::EachHead);
    let problems: [Problem; 11] = [
        all.lse().weights().scores(ScoreStage::Masked).into(),
        spec.clone().additive().append_rotated(37, rotary).into(),
        halves(DType::F16).into(),
        halves(DType::Bf16).into(),
        measures.into(),
        Rope::new([2, 3, 21, 12], rotary).into(),
        Merge::new(3, [2, 3, 21, 12]).lse().sinks().into(),
        Linear::new(33, 24, 36).bias().residual().into(),
        Norm::layer(21, 24, 1e-5).into(),
        Embed::new(21, 9, 24).into(),
        Locate::new([2, 3, 21, 12], 5, 9).into(),
    ];
    let mut cases: Vec<_> = problems.into_iter().map(|problem| Case::random(problem, 1)).collect();
    let (weights, others) = (rows_of_weights(2), rows_of_weights(3));
    let compared = Case::new(Problem::from(Divergence::new([2, 4, 37, 75])));
    cases.push(compared.with(Tensor::Weights, weights).with(Tensor::OtherWeights, others));
    cases
}

/// Rows that add up to one.
fn rows_of_weights(seed: u64) -> Vec<f32> {
    let mut weights = numbers(2 * 4 * 37 * 75, seed);
    for row in weights.chunks_mut(75) {
        row.iter_mut().for_each(|x| *x = x.abs());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
    weights
}

/// Every algorithm that can compute a problem.
pub(crate) fn choices(problem: &Problem, caps: &Caps) -> Vec<Choice> {
    match problem {
        Problem::Attention(spec) => {
            Algorithm::candidates(spec, caps).expect("a legal spec").into_iter().map(Choice::Asked).collect()
        }
        _ => vec![Choice::Suggested],
    }
}

/// The kernels that a device can run.
pub(crate) fn names(caps: &Caps) -> impl Iterator<Item = &'static str> {
    Kernel::names().filter(|name| *name != "matrix" || caps.matrix.is_some())
}
