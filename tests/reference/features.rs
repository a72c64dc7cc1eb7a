//! Each feature against numbers from elsewhere, and against the same problem put without it.

use wgpu_attention::{
    Align, BlockMask, DType, Layout, Mask, Order, Outputs, ScoreStage, Shape, Slopes, Spec, Tensor,
    reference::{attention, row},
};

use crate::{
    SMALL,
    problem::{Problem, SHAPE, Values, Way, masked, near},
    same, small,
};

const NO: f32 = f32::NEG_INFINITY;
const NONE: f64 = f64::NEG_INFINITY;

/// Rows of three numbers.
const ROWS: Layout = Layout { offset: 0, batch: 0, head: 0, row: 3 };

/// The program of `SMALL` with, after the first line,
///
/// ```python
/// x = cap * tanh(x / cap); x += bias[i][j]; x -= slope * abs(i + off - j)
/// ```
///
/// and `exp(sink - m)` added to the sum that divides, not to that in the lse.
#[test]
fn softcap_gives_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5).softcap(0.75), &SMALL),
        &[-1.2951510009908112, 0.09994382935874063, 0.19146079515685174, 0.13439307793448418],
        &[1.2891276746590536, 1.2875563926913562],
        &[
            [0.30244285654770997, 0.14145073509095682, 0.5561064083613332],
            [0.540878785095847, 0.29369875850670396, 0.16542245639744907],
        ]
        .concat(),
        &[
            0.09326475132869715,
            -0.6666761097635824,
            0.7023320535611547,
            0.6729963103270257,
            0.062355724825199826,
            -0.5116963426786274,
        ],
    );
}

#[test]
fn a_bias_gives_the_numbers_of_another_program() {
    // The second row sees nothing.
    same(
        &attention(&small().scale(0.5).bias(ROWS, 3), &SMALL.bias(&[0.5, NO, -1.0, NO, NO, NO])),
        &[-0.6900185392567529, -1.0493645716680766, 0.0, 0.0],
        &[1.1428048622706681, NONE],
        &[0.5774953651858118, 0.0, 0.42250463481418826, 0.0, 0.0, 0.0],
        &[0.59375, NONE, 0.28125, NONE, NONE, NONE],
    );
    // Two columns: the third key is hidden.
    let short = small().scale(0.5).softcap(2.0).bias(Layout { row: 2, ..ROWS }, 2);
    same(
        &attention(&short, &SMALL.bias(&[0.5, -0.25, 1.0, 2.0])),
        &[0.9300639959994297, -1.1607679519931549, 0.7417366599708326, 1.0991600803500106],
        &[0.7443554686480035, 2.723107999162961],
        &[0.8601279919988593, 0.13987200800114089, 0.0, 0.483473319941665, 0.5165266800583351, 0.0],
        &[0.5936813957452961, -1.2226720344499244, NONE, 1.9963488524589101, 2.0624796628920623, NONE],
    );
}

#[test]
fn alibi_gives_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5).align(Align::At(-1)).alibi(Slopes::Head), &SMALL.slopes(&[0.625])),
        &[-0.8226549454425576, -0.5177985650969776, 0.7577752815808951, -0.98512659867583],
        &[0.2144139845977482, 1.3106507611310714],
        &[
            [0.47441918830294344, 0.07990522895590536, 0.4456755827411512],
            [0.8050098536084704, 0.15363881918486094, 0.041351327206668606],
        ]
        .concat(),
        &[-0.53125, -2.3125, -0.59375, 1.09375, -0.5625, -1.875],
    );
}

#[test]
fn sinks_give_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5).sinks(), &SMALL.sinks(&[0.75])),
        &[-1.3309572091190167, 0.012018590134909746, 0.28526606423440665, -0.23560962654325537],
        &[1.6184004742489637, 1.522834690712802],
        &[
            [0.1533486394496554, 0.048253290306020095, 0.5028108312405607],
            [0.44544277402618626, 0.1588275123364459, 0.07986348865333419],
        ]
        .concat(),
        &[0.09375, -1.0625, 1.28125, 1.09375, 0.0625, -0.625],
    );
}

#[test]
fn all_of_it_at_once_gives_the_numbers_of_another_program() {
    let spec = small().scale(0.5).softcap(1.5).bias(ROWS, 3).alibi(Slopes::Head).sinks();
    let spec = spec.mask(Mask::causal()).align(Align::At(1));
    let inputs = SMALL.bias(&[0.5, NO, -1.0, 0.25, 1.0, 2.0]).slopes(&[0.375]).sinks(&[-0.5]);
    let weights = [0.672304848260453, 0.0, 0.0, 0.18751596701460888, 0.24165110355136857, 0.49713084297948495];
    let last = [0.43383289029918637, 0.6874638561182289, 1.408822148103778];
    same(
        &attention(&spec, &inputs),
        &[0.672304848260453, -1.344609696520906, -1.1830510101481617, 0.7158551909211277],
        &[0.21862812012126875, 2.0311647948996985],
        &weights,
        &[[0.21862812012126875, NONE, NONE], last].concat(),
    );
    // The stages before: the same numbers as without what comes later.
    for stage in [ScoreStage::Scaled, ScoreStage::Capped] {
        let found = attention(&spec.clone().scores(stage), &inputs);
        let plain = if stage == ScoreStage::Scaled { small().scale(0.5) } else { small().scale(0.5).softcap(1.5) };
        assert_eq!(found.scores, attention(&plain, &SMALL).scores, "{stage:?}");
        assert_eq!(found.weights.as_deref(), Some(&weights[..]), "{stage:?}");
    }
}

/// Every way gives the same bits for both.
#[track_caller]
fn identical(found: &Problem, expected: &Problem) {
    for way in Way::ALL {
        assert_eq!(way.run(found), way.run(expected), "{way:?} {:?}", found.spec);
    }
}

/// Some way, and so each of them, tells the two apart.
#[track_caller]
fn different(found: &Problem, expected: &Problem) {
    for way in Way::ALL {
        assert_ne!(way.run(found).out, way.run(expected).out, "{way:?} {:?}", found.spec);
    }
}

fn everything(spec: Spec) -> Spec {
    spec.lse().weights().scores(ScoreStage::Masked)
}

/// A dense layout of rows of so many columns.
fn columns(shape: &Shape, columns: u32) -> Layout {
    Order::Bhsd.layout(shape.q_heads, shape.q_len, columns)
}

#[test]
fn a_keep_mask_is_a_bias_of_zero_or_minus_infinity() {
    let kept = Problem::new(everything(masked(SHAPE).keep(columns(&SHAPE, 3), 3)), 21);
    let keep = kept.more.iter().find_map(|(_, values)| match values {
        Values::Bools(keep) => Some(keep.clone()),
        _ => None,
    });
    let bias: Vec<_> = keep.expect("it has one").iter().map(|&keep| if keep { 0.0 } else { NO }).collect();
    let biased = kept.as_spec(everything(masked(SHAPE).bias(columns(&SHAPE, 3), 3)));
    identical(&kept, &biased.with_floats(Tensor::Bias, bias));
    different(&kept, &kept.as_spec(everything(masked(SHAPE))));
    // One row of booleans for all, as broadcast.
    let row = Layout { offset: 1, batch: 0, head: 0, row: 0 };
    let all = Values::Bools(vec![false, true, true, false, true, true, true, true]);
    let shared = Problem::new(everything(masked(SHAPE).keep(row, 7)), 22).with(Tensor::Keep, all);
    let alone = shared.as_spec(everything(masked(SHAPE).bias(row, 7)));
    identical(&shared, &alone.with_floats(Tensor::Bias, [NO, 0.0, 0.0, NO, 0.0, 0.0, 0.0, 0.0]));
}

/// A mask of each head, and one for all; of a keep-mask the same pairs.
#[test]
fn a_block_mask_is_the_keep_mask_of_its_pairs() {
    let one =
        |h: u32| BlockMask::of([40, 70], 16, move |i, j| (i * 3 + j + h) % 5 < 2 && (j / 16 + h).is_multiple_of(2));
    let shape = Shape { q_len: 40, kv_len: 70, ..SHAPE };
    let masks: Vec<_> = (0..4).map(|h| one(h).expect("legal sizes")).collect();
    for mask in [masks[1].clone(), BlockMask::of_heads(&masks).expect("they are alike")] {
        let blocks = Problem::new(everything(masked(shape).block_mask(mask.form())), 25);
        let blocks = blocks.with_words(Tensor::BlockMask, mask.words());
        let places = (0..4).flat_map(|h| (0..40).flat_map(move |i| (0..70).map(move |j| (h, i, j))));
        let keep: Vec<_> = places.map(|(h, i, j)| mask.sees(h, i, j)).collect();
        assert!(keep.iter().any(|&keep| keep) && keep.iter().any(|&keep| !keep));
        let kept = blocks.as_spec(everything(masked(shape).keep(Layout { batch: 0, ..columns(&shape, 70) }, 70)));
        identical(&blocks, &kept.with(Tensor::Keep, Values::Bools(keep)));
        different(&blocks, &blocks.as_spec(everything(masked(shape))));
    }
}

#[test]
fn a_missing_column_is_a_hidden_key() {
    let spec = |columns| everything(Spec::new(SHAPE).bias(Layout { offset: 0, batch: 0, head: 0, row: 0 }, columns));
    let long = Problem::new(spec(7), 23).with_floats(Tensor::Bias, [0.5, -1.0, 0.0, 2.0, NO, NO, NO]);
    identical(&long.clone().as_spec(spec(4)).with_floats(Tensor::Bias, [0.5, -1.0, 0.0, 2.0]), &long);
}

#[test]
fn a_bias_of_the_lowest_number_is_seen() {
    let spec = everything(Spec::new(SHAPE).bias(Layout { offset: 0, batch: 0, head: 0, row: 0 }, 7));
    let problem = Problem::new(spec, 24).with_floats(Tensor::Bias, [NO, f32::MIN, NO, f32::MIN, f32::MIN, NO, NO]);
    for way in Way::ALL {
        let found = way.run(&problem);
        let mean = |d: usize| [1, 3, 4].iter().map(|j| f64::from(problem.v[j * 3 + d])).sum::<f64>() / 3.0;
        near("out", &found.out[..3], &[mean(0), mean(1), mean(2)], 1e-6);
        assert!(found.lse.iter().flatten().all(|lse| lse.is_finite()));
        let weights = found.weights.iter().flatten().take(7).copied().collect::<Vec<_>>();
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
        let sloped = Problem::new(everything(base.clone().alibi(Slopes::BatchHead)), 25);
        // Few bits, so that slope times distance is exact.
        let slopes: Vec<_> = sloped.floats(Tensor::Slopes).iter().map(|&x| DType::Bf16.round(x)).collect();
        let sloped = sloped.with_floats(Tensor::Slopes, &slopes[..]);
        let distance = |i: i32, j: i32| (i + offset - j).abs() as f32;
        let pairs = (0..5).flat_map(|i| (0..7).map(move |j| (i, j)));
        let bias: Vec<_> =
            slopes.iter().flat_map(|slope| pairs.clone().map(move |(i, j)| -slope * distance(i, j))).collect();
        let biased = sloped.as_spec(everything(base.clone().bias(columns(&SHAPE, 7), 7)));
        identical(&sloped, &biased.with_floats(Tensor::Bias, bias));
        different(&sloped, &sloped.as_spec(everything(base.clone())));
        identical(&sloped.clone().with_floats(Tensor::Slopes, [0.0; 8]), &sloped.as_spec(everything(base.clone())));
        // One slope per head: the same for each batch item.
        let heads = sloped.as_spec(everything(base.alibi(Slopes::Head))).with_floats(Tensor::Slopes, &slopes[..4]);
        identical(&heads, &sloped.with_floats(Tensor::Slopes, slopes[..4].repeat(2)));
    }
}

#[test]
fn a_sink_is_a_key_without_value() {
    let sinks = [0.5, -3.0, 40.0, -1e30];
    let problem = Problem::new(masked(SHAPE).lse().sinks(), 26).with_floats(Tensor::Sinks, sinks);
    // One more key, of zeros, which every query sees, and whose bias is the sink.
    let shape = Shape { kv_len: 8, ..SHAPE };
    let spec = Spec::new(shape).scale(problem.spec.scale_or_default()).bias(columns(&shape, 8), 8).lse();
    let longer = |data: &[f32], dim: usize| -> Vec<f32> {
        data.chunks(7 * dim).flat_map(|head| head.iter().copied().chain(vec![0.0; dim])).collect()
    };
    let (k, v) = (longer(&problem.k, 6), longer(&problem.v, 3));
    let at = |n: usize| if problem.sees(n / 8 % 5, n % 8) { 0.0 } else { NO };
    let bias: Vec<_> = (0..320).map(|n| if n % 8 == 7 { sinks[n / 40 % 4] } else { at(n) }).collect();
    let extra = Problem { k, v, ..problem.as_spec(spec) }.with_floats(Tensor::Bias, bias);
    let without = problem.as_spec(masked(SHAPE).lse());
    for way in Way::ALL {
        let [found, expected, without] = [&problem, &extra, &without].map(|problem| way.run(problem));
        near("out", &found.out, &expected.out, way.limit(&problem, Tensor::Out) + way.limit(&extra, Tensor::Out));
        assert_eq!(found.lse, without.lse, "sinks do not count in the lse");
        assert_ne!(found.out, without.out);
        // A sink of 40 takes almost everything, one of -1e30 nothing.
        let head = |outputs: &Outputs<f64>, head: usize| outputs.out[head * 15..][..15].to_vec();
        assert!(head(&found, 2).iter().all(|x| x.abs() < 1e-12));
        near("lowest sink", &head(&found, 3), &head(&without, 3), way.limit(&problem, Tensor::Out));
    }
}

/// One batch item of a problem, with other lengths; rows of q, k and v are those from a start on.
fn item(problem: &Problem, b: usize, spec: impl Fn(Shape) -> Spec, queries: [usize; 2], keys: [usize; 2]) -> Problem {
    let s = *problem.spec.shape();
    let cut = |data: &[f32], heads: u32, len: u32, dim: u32, [from, to]: [usize; 2]| -> Vec<f32> {
        let (heads, len, dim) = (heads as usize, len as usize, dim as usize);
        let batch = &data[b * heads * len * dim..][..heads * len * dim];
        batch.chunks(len * dim).flat_map(|head| &head[from * dim..to * dim]).copied().collect()
    };
    let q = cut(&problem.q, s.q_heads, s.q_len, s.head_dim, queries);
    let k = cut(&problem.k, s.kv_heads, s.kv_len, s.head_dim, keys);
    let v = cut(&problem.v, s.kv_heads, s.kv_len, s.value_dim, keys);
    let (q_len, kv_len) = ((queries[1] - queries[0]) as u32, (keys[1] - keys[0]) as u32);
    Problem { q, k, v, ..problem.as_spec(spec(Shape { batch: 1, q_len, kv_len, ..s })) }
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
    let mut problem = Problem::new(aligned(shape).kv_lens().weights().scores(ScoreStage::Capped), 27)
        .with_floats(Tensor::Slopes, SLOPES);
    let clean = problem.clone();
    // The second item has no key; the third has more than there is room for.
    let lens = [4, 0, u32::MAX];
    problem = problem.with_words(Tensor::KvLens, lens);
    for (data, dim) in [(&mut problem.k, 6), (&mut problem.v, 3)] {
        for (n, row) in data.chunks_mut(dim).enumerate().filter(|(n, _)| (n % 7) as u32 >= lens[n / 14]) {
            row.fill(if n % 2 == 0 { f32::NAN } else { f32::INFINITY });
        }
    }
    for way in Way::ALL {
        let found = way.run(&problem);
        let half = found.out.len() / 3;
        for (b, keys) in [(0, 4), (2, 7)] {
            let short = |shape| aligned(shape).weights().scores(ScoreStage::Capped);
            let alone = item(&clean, b, short, [0, 5], [0, keys]).with_floats(Tensor::Slopes, SLOPES);
            let alone = way.run(&alone);
            assert_eq!(found.out[b * half..][..half], alone.out);
            assert_eq!(found.lse.as_ref().map(|lse| &lse[b * 20..][..20]), alone.lse.as_deref());
            for (wide, narrow, pad) in
                [(&found.weights, &alone.weights, 0.0), (&found.scores, &alone.scores, f64::NEG_INFINITY)]
            {
                let padded = |row: &[f64]| row.iter().copied().chain(vec![pad; 7 - keys]).collect::<Vec<_>>();
                let padded: Option<Vec<f64>> =
                    narrow.as_ref().map(|narrow| narrow.chunks(keys).flat_map(padded).collect());
                assert_eq!(wide.as_ref().map(|wide| &wide[b * 140..][..140]), padded.as_deref());
            }
        }
        assert!(found.out[half..2 * half].iter().all(|&x| x == 0.0));
        assert!(found.lse.iter().flat_map(|lse| &lse[20..40]).all(|&lse| lse == NONE));
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
    let problem = Problem::new(packed(spec(shape)), 28)
        .with_floats(Tensor::Slopes, &slopes[..])
        .with_words(Tensor::CuQ, cu_q)
        .with_words(Tensor::CuK, cu_k);
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
            let alone = alone.with_floats(Tensor::Slopes, &slopes[4 * s..4 * s + 4]);
            let alone = Problem { spec: alone.spec.clone().weights().scores(ScoreStage::Masked), ..alone };
            let (alone, rows, keys) = (way.run(&alone), q1 - q0, k1 - k0);
            for (h, i) in (0..4).flat_map(|h| (0..rows).map(move |i| (h, i))) {
                let (to, from) = (h * 11 + q0 + i, h * rows + i);
                assert_eq!(found.out[to * 3..][..3], alone.out[from * 3..][..3], "{way:?} {s} {h} {i}");
                left.out[to * 3..][..3].fill(0.0);
                let lse = |outputs: &Outputs<f64>, at: usize| outputs.lse.as_ref().map(|lse| lse[at]);
                assert_eq!(lse(&found, to), lse(&alone, from));
                left.lse.iter_mut().for_each(|lse| lse[to] = 0.0);
                for (whole, part, left, pad) in [
                    (&found.weights, &alone.weights, &mut left.weights, 0.0),
                    (&found.scores, &alone.scores, &mut left.scores, NONE),
                ] {
                    let (Some(whole), Some(part), Some(left)) = (whole, part, left) else { continue };
                    let mut expected = vec![pad; 13];
                    expected[k0..k1].copy_from_slice(&part[from * keys.max(1)..][..keys]);
                    assert_eq!(whole[to * 13..][..13], expected, "{way:?} {s} {h} {i}");
                    left[to * 13..][..13].fill(0.0);
                }
            }
        }
        let rest = [Some(left.out), left.lse, left.weights, left.scores];
        assert!(rest.iter().flatten().flatten().all(|&x| x == 0.0), "rows of no sequence are not written");
    }
    let outside = row(&problem.spec, &problem.inputs(), 0, 0, 10);
    assert!(outside.lse == 0.0 && outside.out == [0.0; 3] && outside.weights == [0.0; 13]);
    let inside = row(&problem.spec, &problem.inputs(), 0, 1, 7);
    assert_eq!(inside.out, attention(&problem.spec, &problem.inputs()).out[(11 + 7) * 3..][..3]);
}

#[test]
fn a_bias_of_packed_sequences_counts_through_all() {
    let shape = Shape { batch: 1, q_len: 4, kv_len: 6, ..SHAPE };
    let spec = Spec::new(shape).packed(2).lse().bias(columns(&shape, 5), 5);
    let packed = Problem::new(spec, 29).with_words(Tensor::CuQ, [0, 1, 4]).with_words(Tensor::CuK, [0, 2, 6]);
    let bias = packed.floats(Tensor::Bias);
    // Row 1 and key 2 are the first of the second sequence; key 5 has no column.
    let second: Vec<_> = (0..4 * 3 * 3).map(|n| bias[(n / 9 * 4 + 1 + n / 3 % 3) * 5 + 2 + n % 3]).collect();
    let alone = |shape: Shape| Spec::new(shape).bias(columns(&shape, 3), 3).lse();
    let alone = item(&packed, 0, alone, [1, 4], [2, 6]).with_floats(Tensor::Bias, second);
    for way in Way::ALL {
        let [found, expected] = [&packed, &alone].map(|problem| way.run(problem));
        for h in 0..4 {
            assert_eq!(found.out[(h * 4 + 1) * 3..][..9], expected.out[h * 9..][..9], "{way:?}");
        }
    }
}

/// Odd numbers are no way out of the tensors.
#[test]
fn starts_of_sequences_are_clamped() {
    let shape = Shape { batch: 1, ..SHAPE };
    let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End);
    let problem = Problem::new(spec.packed(2).lse(), 30);
    let with =
        |cu_q: [u32; 3], cu_k: [u32; 3]| problem.clone().with_words(Tensor::CuQ, cu_q).with_words(Tensor::CuK, cu_k);
    identical(&with([0, 3, u32::MAX], [1, 99, 3]), &with([0, 3, 5], [1, 7, 7]));
    identical(&with([2, 1, 4], [0, 0, 7]), &with([1, 1, 4], [0, 0, 7]));
}

#[test]
fn sixteen_bits_round_what_is_read() {
    for dtype in [DType::F16, DType::Bf16] {
        let spec = masked(SHAPE).q_type(dtype).kv_type(dtype).bias(columns(&SHAPE, 7), 7).lse();
        let problem = Problem::new(spec.clone().bias_type(dtype), 31);
        let rounded = |data: &[f32]| data.iter().map(|&x| dtype.round(x)).collect::<Vec<_>>();
        let [q, k, v] = [&problem.q, &problem.k, &problem.v].map(|data| rounded(data));
        let bias = rounded(problem.floats(Tensor::Bias));
        let plain = problem.as_spec(masked(SHAPE).bias(columns(&SHAPE, 7), 7).lse());
        let plain = plain.with_floats(Tensor::Bias, problem.floats(Tensor::Bias));
        identical(&problem, &Problem { q: q.clone(), k, v, ..plain.clone() }.with_floats(Tensor::Bias, bias));
        different(&problem, &plain);
        // Each tensor by its own type.
        let only_q = Problem { spec: masked(SHAPE).q_type(dtype).bias(columns(&SHAPE, 7), 7).lse(), ..plain.clone() };
        identical(&only_q, &Problem { q, ..plain });
    }
}

#[test]
fn sixteen_bits_round_what_is_written_but_not_by_the_oracle() {
    let problem = Problem::new(masked(SHAPE).lse(), 32);
    let narrow = problem.as_spec(masked(SHAPE).lse().out_type(DType::Bf16));
    assert_eq!(Way::Oracle.run(&narrow), Way::Oracle.run(&problem));
    for way in [Way::Naive, Way::Twin] {
        let [wide, narrow] = [&problem, &narrow].map(|problem| way.run(problem));
        let rounded: Vec<_> = wide.out.iter().map(|&x| f64::from(DType::Bf16.round(x as f32))).collect();
        assert_eq!((&narrow.out, &narrow.lse), (&rounded, &wide.lse));
        assert_ne!(narrow.out, wide.out);
    }
    let largest = Way::Oracle.run(&problem).out.iter().fold(0.0, |a: f64, x| x.abs().max(a));
    assert!(Way::Naive.limit(&narrow, Tensor::Out) > 2.0 * DType::Bf16.epsilon() * largest);
    assert!(Way::Naive.limit(&narrow, Tensor::Lse) < 1e-5 && Way::Naive.limit(&problem, Tensor::Out) < 1e-5);
}

#[test]
fn only_is_a_slice_of_all() {
    let spec = everything(masked(SHAPE).alibi(Slopes::Head));
    let all = Problem::new(spec.clone(), 33);
    let some = Problem { spec: spec.clone().only(1..3, 2..5), ..all.clone() };
    for way in [Way::Oracle, Way::Naive] {
        let [all, some] = [&all, &some].map(|problem| way.run(problem));
        assert_eq!((&some.out, &some.lse), (&all.out, &all.lse));
        for (all, some) in [(all.weights, some.weights), (all.scores, some.scores)] {
            let all = all.expect("it is asked for");
            let rows = (0..2).flat_map(|b| (1..3).flat_map(move |h| (2..5).map(move |i| (b * 4 + h) * 5 + i)));
            let slice: Vec<_> = rows.flat_map(|row| &all[row * 7..][..7]).copied().collect();
            assert_eq!(some, Some(slice));
        }
    }
}

#[test]
fn without_out_there_is_none() {
    let all = Problem::new(everything(masked(SHAPE).sinks()), 34);
    let none = Problem { spec: all.spec.clone().without_out(), ..all.clone() };
    for way in Way::ALL {
        let [expected, found] = [&all, &none].map(|problem| way.run(problem));
        assert!(found.out.is_empty());
        assert_eq!((found.lse, found.weights, found.scores), (expected.lse, expected.weights, expected.scores));
    }
    assert!(row(&none.spec, &none.inputs(), 0, 0, 0).out.is_empty());
}
