//! Rotations, merges and comparisons alone, against their oracles, whole and cut into pieces.

use wgpu_attention::{
    Align, Angles, DType, Data, Divergence, Error, Gpu, Inputs, Layout, Locate, Mask, Merge, Order, Pairs, Problem,
    Rope, Rotary, Shape, Spec, Tensor, reference,
};

use crate::{
    measures::small,
    oracle::gappy,
    support::{Case, Failures, numbers::numbers, text},
};

/// A problem with random inputs, run and compared with its oracle.
fn verdict<P: Clone + Into<Problem>>(gpu: &Gpu, problem: &P) -> Result<(), String> {
    let case = Case::random(problem.clone(), 3);
    let outputs = gpu.run(case.spec.clone(), &case.inputs()).map_err(text)?;
    case.compare(&outputs)
}

/// Rotations of every type, by every kind of angles.
pub(crate) fn rotations() -> Vec<Problem> {
    let rotation = |n: usize| {
        let dtype = [DType::F32, DType::F16, DType::Bf16][n % 3];
        let (dim, turned) = [(64, 64), (20, 12), (7, 6)][n / 3 % 3];
        let pairs = if n.is_multiple_of(2) { Pairs::Halves } else { Pairs::Interleaved };
        let angles = [Angles::Rows, Angles::Ids { positions: 9 }, Angles::Appended { positions: 30 }][n / 6];
        let rope = Rope::new([2, 3, 21, dim], Rotary { dim: turned, pairs, angles }).q_type(dtype);
        let rope = match n % 4 {
            0 => rope.order(Order::Bshd).out_type(dtype),
            1 => rope.q_layout(gappy(3, 21, dim, 3)),
            2 => rope.out_layout(gappy(3, 21, dim, 5)).out_type(dtype),
            _ => rope.out_type(DType::Bf16),
        };
        rope.into()
    };
    (0..18).map(rotation).collect()
}

/// Merges with and without what may be asked of them.
pub(crate) fn merges() -> [Problem; 4] {
    [
        Merge::new(3, [2, 3, 21, 64]).lse(),
        Merge::new(3, [2, 3, 21, 7]).lse().sinks(),
        Merge::new(3, [2, 3, 21, 8]).order(Order::Bshd).out_type(DType::F16),
        Merge::new(3, [2, 3, 21, 5]).out_type(DType::Bf16).out_layout(gappy(3, 21, 5, 2)),
    ]
    .map(Problem::from)
}

/// Locations of every kind of previous weights.
pub(crate) fn locations() -> [Problem; 4] {
    [
        Locate::new([2, 3, 21, 64], 10, 201),
        Locate::new([2, 3, 21, 7], 1, 1).k_layout(gappy(3, 21, 7, 3)).k_type(DType::F16),
        Locate::new([2, 3, 70, 8], 5, 4).one_alignment().order(Order::Bshd).out_type(DType::F16),
        Locate::new([1, 2, 33, 5], 70, 3).out_type(DType::Bf16).out_layout(gappy(2, 33, 5, 2)),
    ]
    .map(Problem::from)
}

fn all_match(problems: impl IntoIterator<Item = Problem>, name: &str) {
    let (gpu, mut failures) = (crate::support::gpu(), Failures::default());
    for problem in problems {
        failures.add(|| format!("{problem:?}"), verdict(&gpu, &problem));
    }
    failures.finish(name);
}

#[test]
#[ignore = "needs an adapter"]
fn rotations_match_the_oracle() {
    all_match(rotations(), "rotations match the oracle");
}

#[test]
#[ignore = "needs an adapter"]
fn merges_match_the_oracle() {
    all_match(merges(), "merges match the oracle");
}

#[test]
#[ignore = "needs an adapter"]
fn locations_match_the_oracle() {
    all_match(locations(), "locations match the oracle");
}

/// Steps of a decoder that looks where it looked before: each step's weights are the next one's previous ones.
#[test]
#[ignore = "needs an adapter"]
fn location_aware_steps_match_the_oracle() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 2, q_heads: 2, kv_heads: 2, q_len: 1, kv_len: 50, head_dim: 12, value_dim: 6 };
    let (locate, spec) = (Locate::new([2, 2, 50, 12], 4, 9), Spec::new(shape).additive().weights());
    let [k, v, w] = [(2 * 2 * 50 * 12, 1), (2 * 2 * 50 * 6, 2), (2 * 12, 3)].map(|(n, seed)| numbers(n, seed));
    let (filters, filter_weights) = (numbers(4 * 9, 4), numbers(12 * 4, 5));
    let mut previous = vec![0.0; 2 * 2 * 50];
    for step in 0..4 {
        let inputs = Inputs::default().set(Tensor::K, Data::Floats(&k)).locate(&previous, &filters, &filter_weights);
        let located = gpu.run(&locate, &inputs).expect("it runs");
        reference::check(&locate, &inputs, &located).unwrap_or_else(|wrong| panic!("step {step}: {wrong}"));
        let q = numbers(2 * 2 * 12, 10 + step);
        let inputs = Inputs::new(&q, located.out(), &v).score_weights(&w);
        let outputs = gpu.run(&spec, &inputs).expect("it runs");
        reference::check(&spec, &inputs, &outputs).unwrap_or_else(|wrong| panic!("step {step}: {wrong}"));
        previous = outputs.weights().expect("asked for").to_vec();
    }
}

/// Attention over three ranges of the keys, one of which most rows do not see, merged: the same as over all of them.
#[test]
#[ignore = "needs an adapter"]
fn merging_a_split_is_the_whole() {
    const KEYS: [u32; 4] = [0, 50, 53, 100];
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 33, kv_len: 100, head_dim: 16, value_dim: 24 };
    let whole = Case::random(Spec::new(shape).mask(Mask::causal()).align(Align::At(40)).lse().sinks(), 9);
    let (mut parts, mut lses) = (Vec::<f32>::new(), Vec::<f32>::new());
    for range in KEYS.windows(2) {
        let (start, len) = (range[0], range[1] - range[0]);
        let cache =
            |dim: u64| Layout { offset: u64::from(start) * dim, batch: 2 * 100 * dim, head: 100 * dim, row: dim };
        let part = Spec::new(Shape { kv_len: len, ..shape }).k_layout(cache(16)).v_layout(cache(24)).lse();
        let part = whole.as_spec(part.mask(Mask::causal()).align(Align::At(40 - start as i32)));
        let outputs = gpu.run(&part.spec, &part.inputs()).expect("it runs");
        parts.extend(outputs.out());
        lses.extend(outputs.lse().expect("asked for"));
    }
    assert!(lses.iter().filter(|lse| **lse == f32::NEG_INFINITY).count() > 50, "some parts see nothing");
    let merge = whole.as_spec(Merge::new(3, [2, 4, 33, 24]).lse().sinks());
    let merge = merge.with(Tensor::Parts, parts).with(Tensor::PartLses, lses);
    let merged = gpu.run(&merge.spec, &merge.inputs()).expect("it runs");
    whole.compare(&merged).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Weights of two attentions `[rows, kv_len]`. Where the second is alike, each of its weights is off by at most this share, and some of
/// its rows are a multiple of the first's. Where it is not, each hides a third of the keys; some rows have no weight, some none in
/// common. Rows sum to less than 1, as sinks have it.
pub(crate) fn two_attentions(rows: u32, kv_len: u32, alike: Option<f32>, seed: u64) -> [Vec<f32>; 2] {
    let mut rng = fastrand::Rng::with_seed(seed);
    let [mut a, mut b] = [(); 2].map(|()| vec![0.0; (rows * kv_len) as usize]);
    for (n, (a, b)) in a.chunks_mut(kv_len as usize).zip(b.chunks_mut(kv_len as usize)).enumerate() {
        let mut weight = || (6.0 * rng.f32() - 6.0).exp() / kv_len as f32;
        a.fill_with(&mut weight);
        b.fill_with(&mut weight);
        match (alike, n % 7) {
            (Some(_), 0) => b.iter_mut().zip(a).for_each(|(b, a)| *b = *a * 0.3),
            (Some(share), _) => {
                b.iter_mut().zip(a).for_each(|(b, a)| *b = *a * (1.0 + share * (2.0 * rng.f32() - 1.0)));
            }
            (None, 0) => a.fill(0.0),
            (None, 1) => b.fill(0.0),
            (None, 2) => [a, b].into_iter().for_each(|row| row.fill(0.0)),
            (None, 3) => {
                a.iter_mut().zip(b).enumerate().for_each(|(j, (a, b))| *(if j % 2 == 0 { a } else { b }) = 0.0)
            }
            (None, _) => a.iter_mut().chain(b).filter(|_| rng.u32(..3) == 0).for_each(|w| *w = 0.0),
        }
    }
    [a, b]
}

/// Rows shorter and longer than a workgroup, whole and cut into pieces.
#[test]
#[ignore = "needs an adapter"]
fn comparisons_match_the_oracle() {
    let (gpu, small) = (crate::support::gpu(), small());
    let (mut failures, mut cut) = (Failures::default(), 0);
    for (n, kv_len) in [1, 2, 63, 64, 65, 300, 1900, 20_000].into_iter().enumerate() {
        for alike in [None, Some(0.4), Some(1e-4)] {
            let [a, b] = two_attentions(2 * 3 * 7, kv_len, alike, n as u64);
            let case = Case::new(Divergence::new([2, 3, 7, kv_len]));
            let case = case.with(Tensor::Weights, a).with(Tensor::OtherWeights, b);
            let (problem, inputs) = (&case.spec, case.inputs());
            for gpu in [&gpu, &small] {
                let name = || format!("{kv_len} keys, alike {alike:?}");
                match gpu.attention().plan(problem) {
                    Ok(plan) => cut += usize::from(plan.steps() > 1),
                    Err(Error::BindingLimit { name: "weights", .. }) if kv_len == 20_000 => continue,
                    Err(error) => failures.add(name, Err(text(error))),
                }
                let found = gpu.run(problem, &inputs).map_err(text);
                let checked = found
                    .and_then(|found| reference::check(problem, &inputs, &found).map_err(|wrong| wrong.to_string()));
                let margins = checked.as_ref().map(|all| all.iter().map(|m| format!("{m}")).collect::<Vec<_>>());
                println!("{}: {margins:?}", name());
                failures.add(name, checked.map(drop));
            }
        }
    }
    assert!(cut > 5, "few were cut into pieces");
    failures.finish("comparisons match the oracle");
}
