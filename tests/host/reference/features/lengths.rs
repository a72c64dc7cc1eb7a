//! Lengths and packed sequences, against problems of those lengths.

use wgpu_attention::{
    Align, Mask, Outputs, ScoreStage, Shape, Slopes, Spec, Tensor,
    reference::{attention, row},
};

use super::{NONE, columns, identical};
use crate::{
    case::Case,
    reference::problem::{SHAPE, Way},
};

/// One batch item of a problem, with other lengths; rows of q, k and v are those from a start on.
fn item(problem: &Case, b: usize, spec: impl Fn(Shape) -> Spec, queries: [usize; 2], keys: [usize; 2]) -> Case {
    let s = *problem.spec.shape();
    let cut = |data: &[f32], heads: u32, len: u32, dim: u32, [from, to]: [usize; 2]| -> Vec<f32> {
        let (heads, len, dim) = (heads as usize, len as usize, dim as usize);
        let batch = &data[b * heads * len * dim..][..heads * len * dim];
        batch.chunks(len * dim).flat_map(|head| &head[from * dim..to * dim]).copied().collect()
    };
    let q = cut(problem.floats(Tensor::Q), s.q_heads, s.q_len, s.head_dim, queries);
    let k = cut(problem.floats(Tensor::K), s.kv_heads, s.kv_len, s.head_dim, keys);
    let v = cut(problem.floats(Tensor::V), s.kv_heads, s.kv_len, s.value_dim, keys);
    let (q_len, kv_len) = ((queries[1] - queries[0]) as u32, (keys[1] - keys[0]) as u32);
    let one = problem.as_spec(spec(Shape { batch: 1, q_len, kv_len, ..s }));
    one.with(Tensor::Q, q).with(Tensor::K, k).with(Tensor::V, v)
}

/// What the mask and ALiBi of a short problem see when its lengths are read on the device: the same.
fn aligned(shape: Shape) -> Spec {
    let mask = Mask::causal().and(Mask::window(Some(3), None));
    Spec::new(shape).mask(mask).align(Align::End).alibi(Slopes::Head).lse()
}

const SLOPES: [f32; 4] = [0.5, 0.25, 1.0, -0.125];

#[test]
fn lengths_are_shorter_problems() {
    let shape = Shape { batch: 3, ..SHAPE };
    let mut problem =
        Case::random(aligned(shape).kv_lens().weights().scores(ScoreStage::Capped), 27).with(Tensor::Slopes, SLOPES);
    // The second item has no key; the third has more than there is room for.
    let lens = [4, 0, u32::MAX];
    problem.set_words(Tensor::KvLens, lens);
    for (tensor, dim) in [(Tensor::K, 6), (Tensor::V, 3)] {
        for (n, row) in
            problem.floats_mut(tensor).chunks_mut(dim).enumerate().filter(|(n, _)| (n % 7) as u32 >= lens[n / 14])
        {
            row.fill(if n % 2 == 0 { f32::NAN } else { f32::INFINITY });
        }
    }
    for way in Way::ALL {
        let found = way.run(&problem);
        let half = found.out().len() / 3;
        for (b, keys) in [(0, 4), (2, 7)] {
            let short = |shape| aligned(shape).weights().scores(ScoreStage::Capped);
            let alone = item(&problem, b, short, [0, 5], [0, keys]).with(Tensor::Slopes, SLOPES);
            let alone = way.run(&alone);
            assert_eq!(&found.out()[b * half..][..half], alone.out());
            assert_eq!(found.lse().map(|lse| &lse[b * 20..][..20]), alone.lse());
            for (wide, narrow, pad) in
                [(found.weights(), alone.weights(), 0.0), (found.scores(), alone.scores(), f64::NEG_INFINITY)]
            {
                let padded = |row: &[f64]| row.iter().copied().chain(vec![pad; 7 - keys]).collect::<Vec<_>>();
                let padded: Option<Vec<f64>> =
                    narrow.as_ref().map(|narrow| narrow.chunks(keys).flat_map(padded).collect());
                assert_eq!(wide.as_ref().map(|wide| &wide[b * 140..][..140]), padded.as_deref());
            }
        }
        assert!(found.out()[half..2 * half].iter().all(|&x| x == 0.0));
        assert!(found.lse().into_iter().flat_map(|lse| &lse[20..40]).all(|&lse| lse == NONE));
    }
}

#[test]
fn packed_sequences_are_separate_problems() {
    let shape = Shape { batch: 1, q_len: 11, kv_len: 13, ..SHAPE };
    let packed = |spec: Spec| spec.packed(4).weights().scores(ScoreStage::Masked);
    // Row 0 and the last belong to no sequence, nor do keys 0, 1 and 12. The second has no keys, the third no queries.
    let (cu_q, cu_k) = ([1, 4, 6, 6, 10], [2, 7, 7, 9, 12]);
    let spec = |shape: Shape| aligned(shape).alibi(Slopes::BatchHead);
    let slopes: Vec<f32> = (0..16).map(|n| n as f32 / 8.0).collect();
    let mut problem = Case::random(packed(spec(shape)), 28).with(Tensor::Slopes, &slopes[..]);
    problem.set_words(Tensor::CuQ, cu_q);
    problem.set_words(Tensor::CuK, cu_k);
    for way in Way::ALL {
        let found = way.run(&problem);
        let mut left = found.clone();
        for (s, [q0, q1]) in [(0, [1, 4]), (1, [4, 6]), (3, [6, 10])] {
            let [k0, k1] = [cu_k[s] as usize, cu_k[s + 1] as usize];
            // A sequence without keys: one that the mask hides.
            let blind = |shape| spec(shape).align(Align::At(-100));
            let alone = match s {
                1 => item(&problem, 0, blind, [q0, q1], [0, 1]),
                _ => item(&problem, 0, spec, [q0, q1], [k0, k1]),
            };
            let alone = alone.with(Tensor::Slopes, &slopes[4 * s..4 * s + 4]);
            let alone = alone.as_spec(alone.spec.clone().weights().scores(ScoreStage::Masked));
            let (alone, rows, keys) = (way.run(&alone), q1 - q0, k1 - k0);
            for (h, i) in (0..4).flat_map(|h| (0..rows).map(move |i| (h, i))) {
                let (to, from) = (h * 11 + q0 + i, h * rows + i);
                assert_eq!(found.out()[to * 3..][..3], alone.out()[from * 3..][..3], "{way:?} {s} {h} {i}");
                left.get_mut(Tensor::Out).expect("asked for")[to * 3..][..3].fill(0.0);
                let lse = |outputs: &Outputs<f64>, at: usize| outputs.lse().map(|lse| lse[at]);
                assert_eq!(lse(&found, to), lse(&alone, from));
                left.get_mut(Tensor::Lse).into_iter().for_each(|lse| lse[to] = 0.0);
                for (tensor, pad) in [(Tensor::Weights, 0.0), (Tensor::Scores, NONE)] {
                    let [whole, part] = [&found, &alone].map(|outputs| outputs.get(tensor));
                    let (Some(whole), Some(part), Some(left)) = (whole, part, left.get_mut(tensor)) else { continue };
                    let mut expected = vec![pad; 13];
                    expected[k0..k1].copy_from_slice(&part[from * keys.max(1)..][..keys]);
                    assert_eq!(whole[to * 13..][..13], expected, "{way:?} {s} {h} {i}");
                    left[to * 13..][..13].fill(0.0);
                }
            }
        }
        let rest = [Some(left.out()), left.lse(), left.weights(), left.scores()];
        assert!(rest.into_iter().flatten().flatten().all(|&x| x == 0.0), "rows of no sequence are not written");
    }
    let outside = row(&problem.spec, &problem.inputs(), 0, 0, 10);
    assert!(outside.lse == 0.0 && outside.out == [0.0; 3] && outside.weights == [0.0; 13]);
    let inside = row(&problem.spec, &problem.inputs(), 0, 1, 7);
    assert_eq!(inside.out, attention(&problem.spec, &problem.inputs()).out()[(11 + 7) * 3..][..3]);
}

#[test]
fn a_bias_of_packed_sequences_counts_through_all() {
    let shape = Shape { batch: 1, q_len: 4, kv_len: 6, ..SHAPE };
    let spec = Spec::new(shape).packed(2).lse().bias(columns(&shape, 5), 5);
    let mut packed = Case::random(spec, 29);
    packed.set_words(Tensor::CuQ, [0, 1, 4]);
    packed.set_words(Tensor::CuK, [0, 2, 6]);
    let bias = packed.floats(Tensor::Bias);
    // Row 1 and key 2 are the first of the second sequence; key 5 has no column.
    let second: Vec<_> = (0..4 * 3 * 3).map(|n| bias[(n / 9 * 4 + 1 + n / 3 % 3) * 5 + 2 + n % 3]).collect();
    assert!(second.iter().filter(|bias| bias.is_finite()).count() > 24, "most keys are seen");
    let alone = |shape: Shape| Spec::new(shape).bias(columns(&shape, 3), 3).lse();
    let alone = item(&packed, 0, alone, [1, 4], [2, 6]).with(Tensor::Bias, second);
    for way in Way::ALL {
        let [found, expected] = [&packed, &alone].map(|problem| way.run(problem));
        for h in 0..4 {
            assert_eq!(found.out()[(h * 4 + 1) * 3..][..9], expected.out()[h * 9..][..9], "{way:?}");
        }
    }
}

/// Odd numbers are no way out of the tensors.
#[test]
fn starts_of_sequences_are_clamped() {
    let shape = Shape { batch: 1, ..SHAPE };
    let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End);
    let problem = Case::random(spec.packed(2).lse(), 30);
    let with = |cu_q: [u32; 3], cu_k: [u32; 3]| {
        let mut problem = problem.clone();
        problem.set_words(Tensor::CuQ, cu_q);
        problem.set_words(Tensor::CuK, cu_k);
        problem
    };
    identical(&with([0, 3, u32::MAX], [1, 99, 3]), &with([0, 3, 5], [1, 7, 7]));
    identical(&with([2, 1, 4], [0, 0, 7]), &with([1, 1, 4], [0, 0, 7]));
}
