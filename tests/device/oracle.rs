//! Every kernel, forced, in checked and in trusted mode, against the oracle, at lengths around tile edges; what lies beside
//! the tensors is watched.

use std::collections::BTreeMap;

use crate::support::{Case, Failures, run_plan, text};
use wgpu_attention::{
    Algorithm, Align, Attention, Caps, DType, Gpu, Layout, Mask, Order, Outputs, ScoreStage, Shape, Spec, Tensor,
    reference,
};

/// Query and key lengths below, at and above the edges of 32-row and 32- or 64-key tiles; q_len above kv_len too.
pub(crate) const LENGTHS: [(u32, u32); 14] = [
    (1, 1),
    (1, 33),
    (33, 1),
    (7, 129),
    (129, 7),
    (31, 32),
    (32, 31),
    (32, 32),
    (33, 65),
    (65, 33),
    (63, 64),
    (16, 63),
    (64, 130),
    (130, 64),
];

/// Head and value dimensions: below, at and above each change of tile; equal and not; multiples of four and not.
pub(crate) const DIMS: [(u32, u32); 16] = [
    (64, 64),
    (1, 1),
    (5, 5),
    (32, 32),
    (40, 40),
    (80, 80),
    (128, 128),
    (256, 256),
    (512, 512),
    (64, 68),
    (40, 72),
    (96, 160),
    (64, 5),
    (5, 64),
    (33, 129),
    (192, 128),
];

pub(crate) fn masks() -> [(Mask, Align); 9] {
    [
        (Mask::FULL, Align::Start),
        (Mask::causal(), Align::Start),
        (Mask::causal(), Align::End),
        (Mask::causal(), Align::At(40)),
        (Mask::causal(), Align::At(-5)),
        (Mask::window(Some(3), Some(2)), Align::End),
        (Mask::window(None, Some(5)), Align::At(-4)),
        (Mask::causal().and(Mask::window(Some(40), None)), Align::End),
        (Mask::window(Some(0), Some(0)), Align::Start),
    ]
}

/// Heads side by side in each token, gaps after each row, and nothing at a round address.
pub(crate) fn gappy(heads: u32, len: u32, dim: u32, gap: u32) -> Layout {
    let (heads, len, row) = (u64::from(heads), u64::from(len), u64::from(dim + gap));
    Layout { offset: gap.into(), batch: len * heads * row + u64::from(gap), head: row, row: heads * row }
}

/// Problem number `n` of an endless supply.
fn draw(n: usize) -> Spec {
    let mut rng = fastrand::Rng::with_seed(n as u64);
    // Every length and every dimension in turn, the rest by chance.
    let (q_len, kv_len) = LENGTHS[n % LENGTHS.len()];
    let (head_dim, value_dim) = DIMS[n % DIMS.len()];
    let (mask, align) = masks()[rng.usize(..masks().len())];
    let kv_heads = rng.u32(1..3);
    let shape = Shape { batch: 2, q_heads: kv_heads * rng.u32(1..3), kv_heads, q_len, kv_len, head_dim, value_dim };
    let mut spec = Spec::new(shape).mask(mask).align(align).scale(0.3);
    match rng.u32(..4) {
        0 => {}
        1 => spec = spec.order(Order::Bshd),
        gap => {
            let gap = if gap == 2 { 4 } else { 3 };
            spec = spec
                .q_layout(gappy(shape.q_heads, q_len, head_dim, gap))
                .k_layout(gappy(kv_heads, kv_len, head_dim, gap))
                .v_layout(gappy(kv_heads, kv_len, value_dim, gap))
                .out_layout(gappy(shape.q_heads, q_len, value_dim, gap));
        }
    }
    if rng.bool() {
        spec = spec.lse();
    }
    if rng.u32(..4) == 0 {
        spec = spec.scores(if rng.bool() { ScoreStage::Scaled } else { ScoreStage::Masked });
    }
    spec
}

/// Runs a case by one algorithm; gives the outputs and notes which kernels ran.
pub(crate) fn run(
    gpu: &Gpu,
    attention: &Attention,
    algorithm: Algorithm,
    case: &Case,
    ran: &mut BTreeMap<&'static str, usize>,
) -> Result<Outputs<f32>, String> {
    let plan = attention.plan_with(algorithm, &case.spec).map_err(text)?;
    assert_eq!(plan.algorithm(), Some(algorithm));
    let buffers = run_plan(gpu, &plan, case)?;
    let outputs = buffers.outputs(gpu, case)?;
    for name in plan.kernels() {
        *ran.entry(name).or_default() += 1;
    }
    Ok(outputs)
}

/// The algorithms that can compute a problem here, each with the problem as it is, or in 16-bit floats where it takes no others.
pub(crate) fn algorithms(attention: &Attention, spec: &Spec) -> Vec<(Algorithm, Spec)> {
    let fit = |spec: &Spec| Algorithm::candidates(spec, attention.caps()).expect("a legal spec");
    let halves = spec.clone().q_type(DType::F16).kv_type(DType::F16).out_type(DType::F16);
    let as_it_is = fit(spec);
    let others = fit(&halves).into_iter().filter(|algorithm| !as_it_is.contains(algorithm));
    let others: Vec<_> = others.map(|algorithm| (algorithm, halves.clone())).collect();
    as_it_is.into_iter().map(|algorithm| (algorithm, spec.clone())).chain(others).collect()
}

/// Every kernel that can run here must have run.
pub(crate) fn all_ran(attention: &Attention, ran: &BTreeMap<&'static str, usize>) {
    println!("kernels run: {ran:?}");
    let simple =
        Spec::new(Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 64, value_dim: 64 });
    for (algorithm, _) in algorithms(attention, &simple) {
        assert!(ran.contains_key(algorithm.name()), "kernel {algorithm} ran nowhere");
    }
}

fn bits(outputs: &Outputs<f32>) -> Vec<u32> {
    let parts = [Some(outputs.out()), outputs.lse(), outputs.weights(), outputs.scores()];
    parts.into_iter().flatten().flatten().map(|x| x.to_bits()).collect()
}

/// How the driver runs the kernels, and within which means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// No index is checked.
    Trusted,
    /// Every index is checked, and every loop.
    Checked,
    /// Trusted, within the least that WebGPU allows.
    Least,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Trusted, Self::Checked, Self::Least];

    fn attention(self, gpu: &Gpu) -> Attention {
        match self {
            Self::Trusted => gpu.attention().clone(),
            Self::Checked => Attention::checked(gpu.device()),
            Self::Least => gpu.attention().limited(Caps::webgpu()),
        }
    }

    /// Whether a kernel runs problem `n` in this mode. On software drivers nearly all time goes into compiling, so each problem is
    /// computed in two modes by tiles, in one by the others, and seldom by matrices, which compile longest.
    fn takes(self, n: usize, algorithm: Algorithm) -> bool {
        let mode = |n: usize| Self::ALL[n % 3] == self;
        match algorithm {
            Algorithm::Tile => mode(n) || mode(n + 1),
            Algorithm::Matrix => n.is_multiple_of(8) && Self::ALL[n / 8 % 2] == self,
            _ => mode(n),
        }
    }
}

/// Every length and every dimension four times, with weights every second time.
fn match_the_oracle(mode: Mode) {
    let gpu = crate::support::gpu();
    let attention = mode.attention(&gpu);
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    for n in 0..64 {
        let spec = if n % 2 == 0 { draw(n) } else { draw(n).weights() };
        for (algorithm, spec) in algorithms(&attention, &spec) {
            if !mode.takes(n, algorithm) {
                continue;
            }
            let case = Case::random(spec, n as u64);
            let outputs = run(&gpu, &attention, algorithm, &case, &mut ran);
            let result = outputs.and_then(|outputs| case.compare(&outputs));
            failures.add(|| format!("{n} {algorithm} {mode:?} {:?}", case.spec), result);
        }
    }
    all_ran(&attention, &ran);
    assert!(ran.contains_key("scores"), "no weights were computed");
    failures.finish(&format!("every kernel matches the oracle, {mode:?}"));
}

#[test]
#[ignore = "needs an adapter"]
fn every_trusted_kernel_matches_the_oracle() {
    match_the_oracle(Mode::Trusted);
}

#[test]
#[ignore = "needs an adapter"]
fn every_checked_kernel_matches_the_oracle() {
    match_the_oracle(Mode::Checked);
}

#[test]
#[ignore = "needs an adapter"]
fn every_kernel_within_the_least_memory_matches_the_oracle() {
    match_the_oracle(Mode::Least);
}

#[test]
#[ignore = "needs an adapter"]
fn checked_equals_trusted() {
    let gpu = crate::support::gpu();
    let checked = Attention::checked(gpu.device());
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    for n in 0..8 {
        for (algorithm, spec) in algorithms(&checked, &draw(n)) {
            let case = Case::random(spec, n as u64);
            let one = run(&gpu, gpu.attention(), algorithm, &case, &mut ran).expect("trusted");
            let other = run(&gpu, &checked, algorithm, &case, &mut ran).expect("checked");
            // A driver may fuse multiply-adds in one and not in the other: no more apart than one may be from the oracle.
            let oracle = reference::attention(&case.spec, &case.inputs());
            let epsilon = reference::tolerances(&case.spec, &case.inputs(), &oracle)[0].1.limit() as f32;
            let near =
                |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || approx::abs_diff_eq!(a, b, epsilon = epsilon);
            let same = one.out().len() == other.out().len() && one.out().iter().zip(other.out()).all(near);
            let result = if same { Ok(()) } else { Err("they differ".into()) };
            failures.add(|| format!("{n} {algorithm}"), result);
        }
    }
    failures.finish("checked equals trusted");
}

#[test]
#[ignore = "needs an adapter"]
fn a_second_run_has_the_same_bits() {
    let gpu = crate::support::gpu();
    let mut ran = BTreeMap::new();
    for n in 0..6 {
        for (algorithm, spec) in algorithms(gpu.attention(), &draw(n)) {
            let case = Case::random(spec, n as u64);
            let [one, other] = [(); 2].map(|()| run(&gpu, gpu.attention(), algorithm, &case, &mut ran).expect("runs"));
            assert!(bits(&one) == bits(&other), "{n} {algorithm}: two runs differ");
        }
    }
}

#[test]
#[ignore = "needs an adapter"]
fn tiles_that_the_mask_empties_are_never_read() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 40, kv_len: 400, head_dim: 64, value_dim: 64 };
    let spec = Spec::new(shape).mask(Mask::window(Some(8), Some(8))).align(Align::At(150)).lse();
    for (algorithm, spec) in algorithms(gpu.attention(), &spec) {
        let clean = Case::random(spec.clone(), 1);
        let mut poisoned = Case::random(spec, 1);
        // Queries 0..40 see keys 142..198. No tile of up to 64 keys that holds one of them reaches these.
        for j in (0..78).chain(262..400) {
            poisoned.floats_mut(Tensor::K)[j * 64..][..64].fill(f32::NAN);
            poisoned.floats_mut(Tensor::V)[j * 64..][..64].fill(f32::NAN);
        }
        let mut ran = BTreeMap::new();
        let [clean, poisoned] =
            [&clean, &poisoned].map(|case| run(&gpu, gpu.attention(), algorithm, case, &mut ran).expect("runs"));
        assert!(bits(&clean) == bits(&poisoned), "{algorithm} read a key that no query of its tile sees");
    }
}

#[test]
#[ignore = "needs an adapter"]
fn hostile_scores() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 1, q_heads: 2, kv_heads: 2, q_len: 33, kv_len: 97, head_dim: 8, value_dim: 8 };
    let spec = Spec::new(shape).scale(1.0).mask(Mask::causal()).align(Align::End).lse();
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    type Pattern = fn(usize) -> f32;
    let patterns: [(&str, Pattern); 6] = [
        ("zero", |_| 0.0),
        ("all huge", |_| 1e4),
        ("all deep", |_| -1e4),
        ("rising", |j| j as f32 * 50.0),
        ("falling", |j| j as f32 * -50.0),
        ("alternating", |j| if j % 2 == 0 { 3e3 } else { -3e3 }),
    ];
    for (algorithm, spec) in algorithms(gpu.attention(), &spec) {
        for (name, pattern) in patterns {
            let mut case = Case::random(spec.clone(), 3);
            // The score of key j is about pattern(j).
            case.floats_mut(Tensor::Q).chunks_mut(8).for_each(|q| q[0] = 1.0);
            case.floats_mut(Tensor::K).chunks_mut(8).enumerate().for_each(|(j, k)| k[0] = pattern(j % 97));
            let result = run(&gpu, gpu.attention(), algorithm, &case, &mut ran);
            let result = result.and_then(|outputs| case.compare(&outputs));
            failures.add(|| format!("{name} {algorithm}"), result);
        }
    }
    failures.finish("hostile scores");
}

/// Few queries, whose heads share blocks of rows, and keys enough for several work items to share them.
#[test]
#[ignore = "needs an adapter"]
fn shared_keys_match_the_oracle() {
    let gpu = crate::support::gpu();
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    let (mut split, mut seed) = (0, 0);
    for (q_heads, q_len, kv_len) in [(8, 1, 1100), (6, 3, 700), (3, 5, 530), (2, 17, 513)] {
        let shape =
            Shape { batch: 2, q_heads, kv_heads: q_heads.div_ceil(4), q_len, kv_len, head_dim: 24, value_dim: 20 };
        if q_heads % shape.kv_heads != 0 {
            continue;
        }
        let spec = Spec::new(shape).scale(0.3).lse();
        let masked = spec.clone().mask(Mask::causal().and(Mask::window(Some(300), None))).align(Align::End).weights();
        let own = Layout::broadcast(&[1, q_heads, q_len, kv_len]).expect("four sizes");
        for spec in [spec.clone(), masked, spec.clone().keep(own, kv_len).sinks(), spec.kv_lens().bias(own, kv_len)] {
            for (algorithm, spec) in algorithms(gpu.attention(), &spec) {
                seed += 1;
                if algorithm == Algorithm::Matrix && seed % 3 > 0 {
                    continue; // compiles for seconds on software drivers
                }
                let case = Case::random(spec, seed);
                let outputs = run(&gpu, gpu.attention(), algorithm, &case, &mut ran);
                let result = outputs.and_then(|outputs| case.compare(&outputs));
                failures.add(|| format!("{algorithm} {:?}", case.spec), result);
                let plan = gpu.attention().plan_with(algorithm, &case.spec).expect("it ran");
                split += usize::from(plan.kernels().any(|name| name == "merge"));
            }
        }
    }
    all_ran(gpu.attention(), &ran);
    assert!(split > 4, "only {split} problems were shared by several work items");
    failures.finish("shared keys match the oracle");
}
