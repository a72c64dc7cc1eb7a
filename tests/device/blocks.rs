//! What masks in memory empty is skipped; block masks of every pattern, and beside all other inputs.

use std::collections::BTreeMap;

use wgpu_attention::{Align, BlockMask, Caps, Layout, Mask, Pattern, ScoreStage, Shape, Spec, Tensor};

use crate::{
    oracle::{algorithms, run},
    support::{Case, Failures, block_masks::block_form, case::Values},
};

const SHAPE: Shape = Shape { batch: 1, q_heads: 4, kv_heads: 2, q_len: 130, kv_len: 320, head_dim: 24, value_dim: 20 };

/// Keys 64..256, which no query sees, are no numbers here: whatever reads them in arithmetic gives none.
fn without_middle(spec: Spec, tensor: Tensor, values: Values) -> Case {
    let mut case = Case::random(spec, 21).with(tensor, values);
    for (tensor, dim) in [(Tensor::K, 24), (Tensor::V, 20)] {
        let rows = case.floats_mut(tensor).chunks_mut(dim).enumerate();
        rows.filter(|(j, _)| (64..256).contains(&(j % 320))).for_each(|(_, row)| row.fill(f32::NAN));
    }
    case
}

/// By every kernel, and by those that look a second time.
#[test]
#[ignore = "needs an adapter"]
fn tiles_that_masks_empty_are_not_read() {
    let gpu = crate::support::gpu();
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    let seen = |j: u32| !(64..256).contains(&j) && !j.is_multiple_of(7);
    let mask = BlockMask::of([130, 320], 64, |_, j| seen(j)).expect("legal sizes");
    let square = Layout::broadcast(&[130, 320]).expect("two sizes");
    let keep: Vec<_> = (0..130 * 320).map(|at| seen(at % 320)).collect();
    let bias: Vec<_> = keep.iter().map(|&keep| if keep { 0.5 } else { f32::NEG_INFINITY }).collect();
    let spec = Spec::new(SHAPE).scale(0.3);
    for (spec, tensor, values) in [
        (spec.clone().block_mask(mask.form()), Tensor::BlockMask, Values::from(mask.words())),
        (spec.clone().keep(square, 320), Tensor::Keep, keep.into()),
        (spec.bias(square, 320), Tensor::Bias, bias.into()),
    ] {
        for (algorithm, spec) in algorithms(gpu.attention(), &spec.weights().scores(ScoreStage::Masked)) {
            let case = without_middle(spec, tensor, values.clone());
            let outputs = run(&gpu, gpu.attention(), algorithm, &case, &mut ran);
            let result = outputs.and_then(|outputs| case.compare(&outputs));
            failures.add(|| format!("{algorithm} {tensor:?}"), result);
        }
    }
    failures.finish("tiles that masks empty are not read");
}

/// With all inputs that pairs have there are nine buffers; a device that binds eight merges one part.
#[test]
#[ignore = "needs an adapter"]
fn eight_buffers_are_enough_for_all_masks() {
    let gpu = crate::support::gpu();
    let small = gpu.attention().limited(Caps::webgpu());
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    let square = Layout::broadcast(&[130, 320]).expect("two sizes");
    let spec = Spec::new(SHAPE).scale(0.3).keep(square, 320).bias(square, 320).lse().sinks();
    let spec = spec.block_mask(block_form(&SHAPE, 32, true));
    for spec in [spec.clone(), spec.weights()] {
        let merged = small.plan(&spec).expect("a legal spec").kernels().any(|name| name == "merge");
        assert!(merged, "nine buffers are bound at once");
        for (algorithm, spec) in algorithms(&small, &spec) {
            let case = Case::random(spec, 22);
            let outputs = run(&gpu, &small, algorithm, &case, &mut ran);
            let result = outputs.and_then(|outputs| case.compare(&outputs));
            failures.add(|| format!("{algorithm} {:?}", case.spec), result);
        }
    }
    failures.finish("eight buffers are enough");
}

#[test]
#[ignore = "needs an adapter"]
fn patterns_match_the_oracle() {
    let gpu = crate::support::gpu();
    let (mut failures, mut ran) = (Failures::default(), BTreeMap::new());
    let edges: Vec<_> = (0..130).flat_map(|i| [(i, i), (i, i * 7 % 320), (i, i * i % 320)]).collect();
    let lens = [130, 320];
    let pattern = |block, pattern| BlockMask::pattern(lens, block, pattern);
    for (name, mask) in [
        ("random", pattern(16, Pattern::LocalGlobalRandom { window: 9, globals: 3, random: 2, seed: 5 })),
        ("strided", pattern(32, Pattern::Strided { local: 5, stride: 100 })),
        ("prefix", pattern(128, Pattern::PrefixLm { prefix: 50 })),
        ("edges", BlockMask::edges(lens, 64, &edges)),
    ] {
        let mask = mask.expect("legal sizes");
        let plain = Spec::new(SHAPE).scale(0.3).block_mask(mask.form()).lse();
        let causal = plain.clone().mask(Mask::causal()).align(Align::End);
        for (algorithm, spec) in [plain, causal].iter().flat_map(|spec| algorithms(gpu.attention(), spec)) {
            let case = Case::random(spec, 23).with(Tensor::BlockMask, mask.words());
            let outputs = run(&gpu, gpu.attention(), algorithm, &case, &mut ran);
            let result = outputs.and_then(|outputs| case.compare(&outputs));
            failures.add(|| format!("{name} {algorithm} {:?}", case.spec), result);
        }
    }
    failures.finish("patterns match the oracle");
}
