//! Two features at once are the norm: random combinations of all of them, of shapes, layouts and types, against the oracle.

use std::collections::BTreeMap;

use wgpu_attention::{
    Algorithm, Angles, Attention, Caps, DType, Error, Gpu, Grid, Layout, Mask, Order, Pairs, Rotary, ScoreStage, Shape,
    Slopes, Spec, Tensor,
};

use crate::{
    oracle::{DIMS, LENGTHS, algorithms, all_ran, gappy, masks, run},
    support::{Case, Failures, block_masks::block_form, text},
};

/// Combinations drawn: WGPU_ATTENTION_COMBINATIONS, or what two old cores do in a few minutes. On software drivers nearly all of
/// that is compiling shaders. A weekly run of CI draws ten times as many.
pub(crate) fn combinations() -> u64 {
    std::env::var("WGPU_ATTENTION_COMBINATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(30)
}

/// A combination, the features in it, and the first row of its weights and scores.
pub(crate) struct Drawn {
    pub(crate) spec: Spec,
    features: Vec<&'static str>,
    first_row: u32,
}

impl Drawn {
    fn add(&mut self, feature: &'static str, change: impl FnOnce(Spec) -> Spec) {
        self.features.push(feature);
        self.spec = change(self.spec.clone());
    }

    fn maybe(&mut self, rng: &mut fastrand::Rng, feature: &'static str, change: impl FnOnce(Spec) -> Spec) {
        if rng.u32(..4) == 0 {
            self.add(feature, change);
        }
    }
}

fn float(rng: &mut fastrand::Rng) -> DType {
    [DType::F32, DType::F16, DType::Bf16][rng.usize(..3)]
}

/// Combination number `n` of an endless supply.
pub(crate) fn draw(n: u64) -> Drawn {
    // Large dimensions are slow to check, and rarely matter to features.
    draw_among(n, &DIMS, &DIMS[..6])
}

/// The same of these head and value dimensions, three times in four of the latter.
pub(crate) fn draw_among(n: u64, all: &[(u32, u32)], most: &[(u32, u32)]) -> Drawn {
    let mut rng = fastrand::Rng::with_seed(n);
    let (q_len, kv_len) = LENGTHS[rng.usize(..LENGTHS.len())];
    let dims = if rng.u32(..4) == 0 { all } else { most };
    let (head_dim, value_dim) = dims[rng.usize(..dims.len())];
    let kv_heads = rng.u32(1..3);
    let lengths = rng.u32(..6);
    let batch = if lengths == 0 { 1 } else { 2 };
    let shape = Shape { batch, q_heads: kv_heads * rng.u32(1..3), kv_heads, q_len, kv_len, head_dim, value_dim };
    let mut drawn = Drawn { spec: Spec::new(shape).scale(0.3), features: vec![], first_row: 0 };
    match lengths {
        0 => drawn.add("packed", |spec| spec.packed(rng.u32(1..6))),
        1 => drawn.add("kv_lens", Spec::kv_lens),
        2 => append(&mut drawn, &mut rng),
        _ => {}
    }
    standing(&mut drawn, &mut rng);
    scoring(&mut drawn, &mut rng);
    stored(&mut drawn, &mut rng);
    wanted(&mut drawn, &mut rng);
    drawn.maybe(&mut rng, "additive scores", Spec::additive);
    drawn.maybe(&mut rng, "factors of heads", Spec::head_scales);
    places(&mut drawn, &mut rng);
    drawn
}

fn append(drawn: &mut Drawn, rng: &mut fastrand::Rng) {
    let Shape { q_len, kv_len, head_dim, .. } = *drawn.spec.shape();
    let len = rng.u32(1..=kv_len.min(5));
    if head_dim > 1 && rng.bool() {
        let pairs = if rng.bool() { Pairs::Halves } else { Pairs::Interleaved };
        let angles = [Angles::Appended { positions: kv_len + 3 }, Angles::Ids { positions: 30 }, Angles::Rows];
        // Angles of each appended row serve no more queries than rows are appended.
        let kinds = if q_len <= len { 3 } else { 1 };
        let angles = angles[rng.usize(..kinds)];
        let rotary = Rotary { dim: rng.u32(1..=head_dim / 2) * 2, pairs, angles };
        drawn.add("append, rotated", |spec| spec.append_rotated(len, rotary));
    } else {
        drawn.add("append", |spec| spec.append(len));
    }
    if rng.bool() {
        drawn.add("append of another type", |spec| spec.new_type(float(rng)));
    }
}

fn standing(drawn: &mut Drawn, rng: &mut fastrand::Rng) {
    let (mask, align) = masks()[rng.usize(..masks().len())];
    drawn.spec = drawn.spec.clone().align(align);
    if mask != Mask::FULL {
        drawn.add("mask", |spec| spec.mask(mask));
    }
    let slopes = if rng.bool() { Slopes::Head } else { Slopes::BatchHead };
    drawn.maybe(rng, "ALiBi", |spec| spec.alibi(slopes));
}

fn scoring(drawn: &mut Drawn, rng: &mut fastrand::Rng) {
    drawn.maybe(rng, "softcap", |spec| spec.softcap(1.5));
    drawn.maybe(rng, "sinks", Spec::sinks);
    let (layout, columns) = broadcast(drawn.spec.shape(), rng);
    let dtype = float(rng);
    drawn.maybe(rng, "bias", |spec| spec.bias(layout, columns).bias_type(dtype));
    let (layout, columns) = broadcast(drawn.spec.shape(), rng);
    let dtype = if rng.bool() { DType::Bool } else { DType::Bit };
    drawn.maybe(rng, "keep", |spec| spec.keep(layout, columns).keep_type(dtype));
    let form = block_form(drawn.spec.shape(), [16, 16, 32, 64, 128, 256][rng.usize(..6)], rng.bool());
    drawn.maybe(rng, "block mask", |spec| spec.block_mask(form));
}

/// A grid, where there are as many queries as keys and no lengths.
fn places(drawn: &mut Drawn, rng: &mut fastrand::Rng) {
    let Shape { q_len: len, kv_len, .. } = *drawn.spec.shape();
    let rows = (1..=len).filter(|&rows| len.is_multiple_of(rows) && rng.bool()).last().unwrap_or(1);
    let columns = len / rows;
    let odd = rng.u32(0..rows.min(columns).div_ceil(2)) * 2 + 1;
    let window = rng.u32(1..6);
    let grid = match rng.bool() {
        true => Grid::neighbourhood(rows, columns, odd),
        false => Grid::windows(rows, columns, window, rng.u32(..window)),
    };
    let grid = if rng.bool() { grid.biased() } else { grid };
    if len == kv_len && drawn.spec.clone().grid(grid).check().is_ok() {
        drawn.add("a grid", |spec| spec.grid(grid));
    }
}

/// A layout of pairs in which some dimensions are broadcast, and sometimes the last columns are missing.
fn broadcast(s: &Shape, rng: &mut fastrand::Rng) -> (Layout, u32) {
    let columns = if rng.u32(..4) == 0 { rng.u32(1..=s.kv_len) } else { s.kv_len };
    let sizes = [s.batch, s.q_heads, s.q_len].map(|size| if rng.bool() { size } else { 1 });
    let layout = Layout::broadcast(&[sizes[0], sizes[1], sizes[2], columns]).expect("four sizes");
    (Layout { offset: rng.u64(..3), ..layout }, columns)
}

fn stored(drawn: &mut Drawn, rng: &mut fastrand::Rng) {
    let s = *drawn.spec.shape();
    match rng.u32(..4) {
        0 => {}
        1 => drawn.spec = drawn.spec.clone().order(Order::Bshd),
        gap => {
            let gap = if gap == 2 { 4 } else { 3 };
            drawn.spec = drawn
                .spec
                .clone()
                .q_layout(gappy(s.q_heads, s.q_len, s.head_dim, gap))
                .k_layout(gappy(s.kv_heads, s.kv_len, s.head_dim, gap))
                .v_layout(gappy(s.kv_heads, s.kv_len, s.value_dim, gap))
                .out_layout(gappy(s.q_heads, s.q_len, s.value_dim, gap));
        }
    }
    let [q, kv, out] = [float(rng), float(rng), float(rng)];
    if rng.bool() {
        drawn.spec = drawn.spec.clone().q_type(q).kv_type(kv).out_type(out);
        drawn.features.extend(
            [(q, "q in f16", "q in bf16"), (kv, "k, v in f16", "k, v in bf16")].into_iter().filter_map(
                |(dtype, f16, bf16)| match dtype {
                    DType::F16 => Some(f16),
                    DType::Bf16 => Some(bf16),
                    _ => None,
                },
            ),
        );
        match out {
            DType::F16 => drawn.features.push("out in f16"),
            DType::Bf16 => drawn.features.push("out in bf16"),
            _ => {}
        }
    }
    drawn.maybe(rng, "shared buffer", Spec::shared_buffer);
}

fn wanted(drawn: &mut Drawn, rng: &mut fastrand::Rng) {
    let s = *drawn.spec.shape();
    drawn.maybe(rng, "lse", Spec::lse);
    drawn.maybe(rng, "weights", Spec::weights);
    let stage = [ScoreStage::Scaled, ScoreStage::Capped, ScoreStage::Masked][rng.usize(..3)];
    drawn.maybe(rng, "scores", |spec| spec.scores(stage));
    let pairs = drawn.spec.view(Tensor::Weights).or(drawn.spec.view(Tensor::Scores)).is_some();
    if pairs && rng.bool() {
        let (head, row) = (rng.u32(..s.q_heads), rng.u32(..s.q_len));
        let (heads, rows) = (head..rng.u32(head + 1..=s.q_heads), row..rng.u32(row + 1..=s.q_len));
        drawn.first_row = row;
        drawn.add("only some heads and rows", |spec| spec.only(heads, rows));
    }
    if (pairs || drawn.spec.view(Tensor::Lse).is_some()) && rng.u32(..4) == 0 {
        drawn.add("without out", Spec::without_out);
    }
}

/// Bytes of a binding so short that nearly every problem is cut.
const SHORT: u64 = 4096;

/// Most dispatches that a cut problem may have here: so many pieces prove no more than a few.
const MOST: usize = 400;

/// Each combination runs on the device as it is, every third time with all checks, and on one that has no more than WebGPU
/// promises and so little to bind that the problem is cut.
fn modes(gpu: &Gpu) -> [(&'static str, Attention); 3] {
    let small = Caps { binding_bytes: SHORT, workgroups: 3, ..Caps::webgpu() };
    let attention = gpu.attention();
    [
        ("trusted", attention.clone()),
        ("checked", Attention::checked(gpu.device())),
        ("4 KiB bindings", attention.limited(small)),
    ]
}

/// Whether a problem can be cut for a small device, in few enough pieces.
fn is_cut(attention: &Attention, algorithm: Algorithm, case: &Case) -> Result<bool, String> {
    match attention.plan_with(algorithm, &case.spec) {
        Ok(plan) => Ok(plan.steps() <= MOST),
        // One row of some tensors, or its share of the workspace, is longer than that.
        Err(Error::BindingLimit { .. }) => Ok(false),
        Err(error) => Err(text(error)),
    }
}

/// The algorithm for combination `n`: each in turn of those that can compute it. Matrices take few types, so now and then the
/// combination gets theirs.
fn turn(n: u64, attention: &Attention, spec: Spec) -> (Algorithm, Spec) {
    let all = algorithms(attention, &spec);
    match all.last() {
        Some((Algorithm::Matrix, halves)) if n % 10 == 9 => (Algorithm::Matrix, halves.clone()),
        _ => {
            let others: Vec<_> = all.into_iter().filter(|(algorithm, _)| *algorithm != Algorithm::Matrix).collect();
            others[n as usize % others.len()].clone()
        }
    }
}

#[test]
#[ignore = "needs an adapter"]
fn random_combinations_match_the_oracle() {
    let gpu = crate::support::gpu();
    let [trusted, checked, small] = modes(&gpu);
    let (mut failures, mut ran, mut features) = (Failures::default(), BTreeMap::new(), BTreeMap::new());
    let mut cut = 0;
    for n in 0..combinations() {
        let drawn = draw(n);
        let (algorithm, spec) = turn(n, &trusted.1, drawn.spec);
        let case = Case { first_row: drawn.first_row, ..Case::random(spec, n) };
        for feature in drawn.features {
            *features.entry(feature).or_insert(0) += 1;
        }
        let all = if n % 3 == 0 && algorithm != Algorithm::Matrix { &checked } else { &trusted };
        let mut modes = vec![(all, algorithm)];
        let (few, _) = turn(n, &small.1, case.spec.clone());
        match is_cut(&small.1, few, &case) {
            Ok(true) => {
                modes.push((&small, few));
                cut += 1;
            }
            Ok(false) => {}
            Err(why) => failures.add(|| format!("{n} {:?}", case.spec), Err(why)),
        }
        for ((mode, attention), algorithm) in modes {
            let outputs = run(&gpu, attention, algorithm, &case, &mut ran);
            let result = outputs.and_then(|outputs| case.compare(&outputs));
            failures.add(|| format!("{n} {algorithm} {mode} {:?}", case.spec), result);
        }
    }
    println!("{} combinations, {cut} of them on a device that binds {SHORT} bytes too", combinations());
    println!("features: {features:?}");
    all_ran(gpu.attention(), &ran);
    assert!(cut * 3 > combinations(), "few were cut");
    failures.finish("random combinations match the oracle");
}
