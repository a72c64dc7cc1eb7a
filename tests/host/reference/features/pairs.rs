//! What changes scores and hides keys, against the same problem put as a bias.

use wgpu_attention::{Align, BlockMask, DType, Layout, Outputs, Shape, Slopes, Spec, Tensor};

use super::{NO, columns, different, everything, identical};
use crate::{
    case::{Case, Values},
    reference::problem::{SHAPE, Way, masked, near, sees},
};

#[test]
fn a_keep_mask_is_a_bias_of_zero_or_minus_infinity() {
    let kept = Case::random(everything(masked(SHAPE).keep(columns(&SHAPE, 3), 3)), 21);
    let Some(Values::Bools(keep)) = kept.values.get(&(Tensor::Keep as usize)) else { panic!("it has one") };
    let bias: Vec<_> = keep.iter().map(|&keep| if keep { 0.0 } else { NO }).collect();
    let biased = kept.as_spec(everything(masked(SHAPE).bias(columns(&SHAPE, 3), 3)));
    identical(&kept, &biased.with(Tensor::Bias, bias));
    different(&kept, &kept.as_spec(everything(masked(SHAPE))));
    // One row of booleans for all, as broadcast.
    let row = Layout { offset: 1, batch: 0, head: 0, row: 0 };
    let all = [false, true, true, false, true, true, true, true];
    let shared = Case::random(everything(masked(SHAPE).keep(row, 7)), 22).with(Tensor::Keep, all);
    let alone = shared.as_spec(everything(masked(SHAPE).bias(row, 7)));
    identical(&shared, &alone.with(Tensor::Bias, [NO, 0.0, 0.0, NO, 0.0, 0.0, 0.0, 0.0]));
}

/// A mask of each head, and one for all; of a keep-mask the same pairs.
#[test]
fn a_block_mask_is_the_keep_mask_of_its_pairs() {
    let one =
        |h: u32| BlockMask::of([40, 70], 16, move |i, j| (i * 3 + j + h) % 5 < 2 && (j / 16 + h).is_multiple_of(2));
    let shape = Shape { q_len: 40, kv_len: 70, ..SHAPE };
    let masks: Vec<_> = (0..4).map(|h| one(h).expect("legal sizes")).collect();
    for mask in [masks[1].clone(), BlockMask::of_heads(&masks).expect("they are alike")] {
        let blocks = Case::random(everything(masked(shape).block_mask(mask.form())), 25);
        let blocks = blocks.with(Tensor::BlockMask, mask.words());
        let places = (0..4).flat_map(|h| (0..40).flat_map(move |i| (0..70).map(move |j| (h, i, j))));
        let keep: Vec<_> = places.map(|(h, i, j)| mask.sees(h, i, j)).collect();
        assert!(keep.iter().any(|&keep| keep) && keep.iter().any(|&keep| !keep));
        let kept = blocks.as_spec(everything(masked(shape).keep(Layout { batch: 0, ..columns(&shape, 70) }, 70)));
        identical(&blocks, &kept.with(Tensor::Keep, keep));
        different(&blocks, &blocks.as_spec(everything(masked(shape))));
    }
}

#[test]
fn a_missing_column_is_a_hidden_key() {
    let spec = |columns| everything(Spec::new(SHAPE).bias(Layout { offset: 0, batch: 0, head: 0, row: 0 }, columns));
    let long = Case::random(spec(7), 23).with(Tensor::Bias, [0.5, -1.0, 0.0, 2.0, NO, NO, NO]);
    identical(&long.clone().as_spec(spec(4)).with(Tensor::Bias, [0.5, -1.0, 0.0, 2.0]), &long);
}

#[test]
fn a_bias_of_the_lowest_number_is_seen() {
    let spec = everything(Spec::new(SHAPE).bias(Layout { offset: 0, batch: 0, head: 0, row: 0 }, 7));
    let problem = Case::random(spec, 24).with(Tensor::Bias, [NO, f32::MIN, NO, f32::MIN, f32::MIN, NO, NO]);
    for way in Way::ALL {
        let found = way.run(&problem);
        let v = problem.floats(Tensor::V);
        let mean = |d: usize| [1, 3, 4].iter().map(|j| f64::from(v[j * 3 + d])).sum::<f64>() / 3.0;
        near("out", &found.out()[..3], &[mean(0), mean(1), mean(2)], 1e-6);
        assert!(found.lse().into_iter().flatten().all(|lse| lse.is_finite()));
        let weights = found.weights().into_iter().flatten().take(7).copied().collect::<Vec<_>>();
        let third = 1.0 / 3.0;
        if way != Way::Twin {
            near("weights", &weights, &[0.0, third, 0.0, third, third, 0.0, 0.0], 1e-6);
        }
    }
}

#[test]
fn alibi_is_a_bias_by_distance() {
    for (align, offset) in [(Align::Start, 0), (Align::End, 2), (Align::At(-3), -3)] {
        let base = masked(SHAPE).align(align);
        let sloped = Case::random(everything(base.clone().alibi(Slopes::BatchHead)), 25);
        // Few bits, so that slope times distance is exact.
        let slopes: Vec<_> = sloped.floats(Tensor::Slopes).iter().map(|&x| DType::Bf16.round(x)).collect();
        let sloped = sloped.with(Tensor::Slopes, &slopes[..]);
        let distance = |i: i32, j: i32| (i + offset - j).abs() as f32;
        let pairs = (0..5).flat_map(|i| (0..7).map(move |j| (i, j)));
        let bias: Vec<_> =
            slopes.iter().flat_map(|slope| pairs.clone().map(move |(i, j)| -slope * distance(i, j))).collect();
        let biased = sloped.as_spec(everything(base.clone().bias(columns(&SHAPE, 7), 7)));
        identical(&sloped, &biased.with(Tensor::Bias, bias));
        different(&sloped, &sloped.as_spec(everything(base.clone())));
        identical(&sloped.clone().with(Tensor::Slopes, [0.0; 8]), &sloped.as_spec(everything(base.clone())));
        // One slope per head: the same for each batch item.
        let heads = sloped.as_spec(everything(base.alibi(Slopes::Head))).with(Tensor::Slopes, &slopes[..4]);
        identical(&heads, &sloped.with(Tensor::Slopes, slopes[..4].repeat(2)));
    }
}

#[test]
fn a_sink_is_a_key_without_value() {
    let sinks = [0.5, -3.0, 40.0, -1e30];
    let problem = Case::random(masked(SHAPE).lse().sinks(), 26).with(Tensor::Sinks, sinks);
    // One more key, of zeros, which every query sees, and whose bias is the sink.
    let shape = Shape { kv_len: 8, ..SHAPE };
    let spec = Spec::new(shape).scale(problem.spec.scale_or_default()).bias(columns(&shape, 8), 8).lse();
    let longer = |data: &[f32], dim: usize| -> Vec<f32> {
        data.chunks(7 * dim).flat_map(|head| head.iter().copied().chain(vec![0.0; dim])).collect()
    };
    let (k, v) = (longer(problem.floats(Tensor::K), 6), longer(problem.floats(Tensor::V), 3));
    let at = |n: usize| if sees(&problem, n / 8 % 5, n % 8) { 0.0 } else { NO };
    let bias: Vec<_> = (0..320).map(|n| if n % 8 == 7 { sinks[n / 40 % 4] } else { at(n) }).collect();
    let extra = problem.as_spec(spec).with(Tensor::K, k).with(Tensor::V, v).with(Tensor::Bias, bias);
    let without = problem.as_spec(masked(SHAPE).lse());
    for way in Way::ALL {
        let [found, expected, without] = [&problem, &extra, &without].map(|problem| way.run(problem));
        near("out", found.out(), expected.out(), way.limit(&problem, Tensor::Out) + way.limit(&extra, Tensor::Out));
        assert_eq!(found.lse(), without.lse(), "sinks do not count in the lse");
        assert_ne!(found.out(), without.out());
        // A sink of 40 takes almost everything, one of -1e30 nothing.
        let head = |outputs: &Outputs<f64>, head: usize| outputs.out()[head * 15..][..15].to_vec();
        assert!(head(&found, 2).iter().all(|x| x.abs() < 1e-12));
        near("lowest sink", &head(&found, 3), &head(&without, 3), way.limit(&problem, Tensor::Out));
    }
}
