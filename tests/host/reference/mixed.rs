//! Any mixture of features: the twin and the naive formula are what the oracle says, within their tolerances.

use fastrand::Rng;
use wgpu_attention::{
    Align, Angles, DType, Layout, Mask, Order, Pairs, Rotary, ScoreStage, Shape, Slopes, Spec, Tensor,
    reference::{Tiles, check, naive, tiled},
};

use crate::case::Case;

const MIXTURES: u64 = 800;

fn draw_shape(rng: &mut Rng) -> Shape {
    let (batch, kv_heads) = (rng.u32(1..3), rng.u32(1..3));
    let q_heads = kv_heads * rng.u32(1..3);
    let (q_len, kv_len) = (rng.u32(1..20), rng.u32(1..40));
    Shape { batch, q_heads, kv_heads, q_len, kv_len, head_dim: 2 * rng.u32(1..9), value_dim: rng.u32(1..9) }
}

fn draw_type(rng: &mut Rng) -> DType {
    [DType::F32, DType::F32, DType::F16, DType::Bf16][rng.usize(..4)]
}

/// A mask, in a place that hides some.
fn draw_mask(rng: &mut Rng, spec: Spec) -> Spec {
    let align = [Align::Start, Align::End, Align::At(rng.i32(-3..6))][rng.usize(..3)];
    let window = Mask::window(Some(rng.u32(..9)), Some(rng.u32(..4)));
    spec.mask([Mask::FULL, Mask::causal(), window][rng.usize(..3)]).align(align)
}

/// What changes scores and hides keys, each as often as not.
fn draw_scores(rng: &mut Rng, mut spec: Spec) -> Spec {
    let s = *spec.shape();
    let layout = |rng: &mut Rng, columns: u32| {
        let sizes = [s.batch, s.q_heads, s.q_len, columns].map(|size| if rng.bool() { size } else { 1 });
        Layout::broadcast(&[sizes[0], sizes[1], sizes[2], columns]).expect("four sizes")
    };
    if rng.bool() {
        spec = spec.softcap(1.5);
    }
    if rng.bool() {
        let columns = s.kv_len - rng.u32(..s.kv_len.min(5));
        let bias = layout(rng, columns);
        spec = spec.bias(bias, columns).bias_type(draw_type(rng));
    }
    if rng.bool() {
        let keep = layout(rng, s.kv_len);
        spec = spec.keep(keep, s.kv_len).keep_type(if rng.bool() { DType::Bit } else { DType::Bool });
    }
    if rng.bool() {
        spec = spec.alibi(if rng.bool() { Slopes::Head } else { Slopes::BatchHead });
    }
    if rng.bool() { spec.sinks() } else { spec }
}

/// Lengths, an append, packed sequences or none of them.
fn draw_lengths(rng: &mut Rng, spec: Spec) -> Spec {
    let s = *spec.shape();
    let pairs = if rng.bool() { Pairs::Halves } else { Pairs::Interleaved };
    let rotary = Rotary { dim: s.head_dim, pairs, angles: Angles::Appended { positions: s.kv_len } };
    let new = rng.u32(1..=s.kv_len.min(4));
    match rng.u32(..5) {
        0 => spec.kv_lens(),
        1 => spec.append(new),
        2 => spec.append_rotated(new, rotary),
        3 if s.batch == 1 => spec.packed(3),
        _ => spec,
    }
}

fn draw(seed: u64) -> Case {
    let rng = &mut Rng::with_seed(seed);
    let spec = Spec::new(draw_shape(rng)).order(if rng.bool() { Order::Bhsd } else { Order::Bshd }).lse();
    let spec = spec.q_type(draw_type(rng)).kv_type(draw_type(rng)).out_type(draw_type(rng)).new_type(draw_type(rng));
    let spec = draw_mask(rng, spec);
    let spec = draw_scores(rng, spec);
    let spec = draw_lengths(rng, spec);
    // Drawn for the scores too: extremes would hide faults in them.
    let mut problem = Case::random(watched(&spec, seed), seed).as_spec(spec);
    if problem.spec.view(Tensor::KvLens).is_some() {
        let Shape { batch, kv_len, .. } = *problem.spec.shape();
        problem.set_words(Tensor::KvLens, (0..batch).map(|_| rng.u32(..=kv_len + 2)).collect::<Vec<_>>());
    }
    problem
}

/// The same with weights and the scores of a stage.
fn watched(spec: &Spec, seed: u64) -> Spec {
    spec.clone().weights().scores([ScoreStage::Scaled, ScoreStage::Capped, ScoreStage::Masked][seed as usize % 3])
}

#[test]
fn any_mixture_of_features_is_right() {
    let mut seen = [0; 4];
    for seed in 0..MIXTURES {
        let problem = draw(seed);
        let inputs = problem.inputs();
        assert_eq!(problem.spec.check(), Ok(()), "{:?}", problem.spec);
        for tiles in [Tiles { rows: 4, keys: 8 }, Tiles { rows: 1, keys: 3 }] {
            let found = tiled(&problem.spec, &inputs, tiles);
            let verdict = check(&problem.spec, &inputs, &found);
            assert!(verdict.is_ok(), "{seed} {tiles:?} {verdict:?} {:?}", problem.spec);
        }
        let watched = watched(&problem.spec, seed);
        let found = naive(&watched, &inputs);
        let verdict = check(&watched, &inputs, &found);
        assert!(verdict.is_ok(), "{seed} {verdict:?} {watched:?}");
        for (seen, tensor) in seen.iter_mut().zip([Tensor::CuQ, Tensor::Cos, Tensor::Keep, Tensor::Sinks]) {
            *seen += usize::from(problem.spec.view(tensor).is_some());
        }
    }
    println!("packed, rotated, keep-masks, sinks: {seen:?} of {MIXTURES}");
    assert!(seen.into_iter().all(|seen| seen > 30), "{seen:?}");
}
