//! The comparer can fail: it refuses every known-bad result, and takes what is right.

use wgpu_attention::{
    Align, Inputs, Mask, Outputs, ScoreStage, Shape, Spec, Tensor, reference,
    reference::{Mismatch, Tiles, Tolerance, check},
};

/// Five rows of three, as an oracle would give them; the fourth is of a query that sees no key.
const EXPECTED: [f64; 15] =
    [0.1, -0.2, 0.3, 1.0 / 3.0, 2.0 / 3.0, -1.0 / 7.0, 0.5, 0.25, 0.125, 0.0, 0.0, 0.0, 0.7, 0.01, -0.9];

/// The same in f32, each off by some roundings.
fn naive() -> Vec<f32> {
    EXPECTED.iter().map(|&x| x as f32 * (1.0 + 3.0 * f32::EPSILON)).collect()
}

fn exact() -> Vec<f32> {
    EXPECTED.iter().map(|&x| x as f32).collect()
}

fn tolerance() -> Tolerance {
    Tolerance::of(&EXPECTED, &naive())
}

fn changed(change: impl FnOnce(&mut [f32])) -> Result<f64, Mismatch> {
    let mut actual = exact();
    change(&mut actual);
    tolerance().check(&actual, &EXPECTED)
}

/// Where a changed result is refused, and how many elements are.
fn refused(change: impl FnOnce(&mut [f32])) -> (usize, usize) {
    let mismatch = changed(change).expect_err("it is wrong");
    assert_eq!(mismatch.limit, tolerance().limit());
    (mismatch.index, mismatch.outside)
}

#[test]
fn takes_exact_values_and_those_within() {
    assert!(changed(|_| ()).is_ok_and(|largest| largest < 1e-7));
    let limit = tolerance().limit();
    for sign in [-1.0, 1.0] {
        let within = changed(|actual| actual.iter_mut().for_each(|x| *x += (sign * limit * 0.9) as f32));
        assert!(within.is_ok_and(|largest| (0.8 * limit..limit).contains(&largest)));
    }
    assert!(tolerance().check(&naive(), &EXPECTED).is_ok(), "the naive formula is twice as good as it must be");
}

#[test]
fn limit_is_positive_and_tiny() {
    let limit = Tolerance::of(&EXPECTED, &exact()).limit();
    assert!(limit > 0.0 && limit < 5e-7, "{limit}");
    assert!(tolerance().limit() > limit && tolerance().limit() < 2e-6);
    let scaled = EXPECTED.map(|x| x * 1e6);
    let naive: Vec<_> = scaled.iter().map(|&x| x as f32).collect();
    let ratio = Tolerance::of(&scaled, &naive).limit() / limit;
    assert!((0.5e6..2e6).contains(&ratio), "the limit goes with the data: {ratio}");
}

#[test]
fn refuses_what_is_no_number() {
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        for at in 0..EXPECTED.len() {
            assert_eq!(refused(|actual| actual[at] = bad), (at, 1));
        }
        assert_eq!(refused(|actual| actual.fill(bad)).1, EXPECTED.len());
    }
    // Beside a finite error, before and after it.
    assert_eq!(refused(|actual| (actual[2], actual[9]) = (f32::NAN, 7.0)).1, 2);
    assert_eq!(refused(|actual| (actual[2], actual[9]) = (7.0, f32::NAN)).1, 2);
    assert!(Tolerance::of(&EXPECTED, &[f32::NAN; 15]).limit() < 5e-7, "a naive NaN is no licence");
    assert!(Tolerance::of(&EXPECTED, &[f32::INFINITY; 15]).limit() < 5e-7, "nor is an infinity");
}

#[test]
fn refuses_results_that_are_wrong_as_a_whole() {
    // What a kernel leaves that wrote nothing, or one value everywhere. Three elements of the hidden row are right.
    assert_eq!(refused(|actual| actual.fill(0.0)), (14, 12));
    assert_eq!(refused(|actual| actual.fill(0.3)).1, 14);
    assert_eq!(refused(|actual| actual.iter_mut().for_each(|x| *x = -*x)).1, 12);
    assert_eq!(refused(|actual| actual.rotate_left(3)).1, 15);
}

#[test]
fn refuses_one_wrong_row_or_element() {
    assert_eq!(refused(|actual| actual[12..].fill(0.0)).1, 3);
    assert_eq!(refused(|actual| actual.copy_within(6..9, 12)).1, 3);
    let twice = 2.0 * tolerance().limit();
    for at in 0..EXPECTED.len() {
        for sign in [-1.0, 1.0] {
            let off = |actual: &mut [f32]| actual[at] = (EXPECTED[at] + sign * twice) as f32;
            assert_eq!(refused(off), (at, 1));
        }
    }
    let mismatch = changed(|actual| actual[14] = 0.9).expect_err("the sign is wrong");
    let text = mismatch.to_string();
    assert!(text.starts_with("element 14 is 8.9999998e-1, expected -9.0000000e-1 +- "), "{text}");
    assert!(text.ends_with("; 1 elements outside"), "{text}");
}

#[test]
fn names_the_worst_element() {
    assert_eq!(refused(|actual| (actual[1], actual[5], actual[13]) = (9.0, 99.0, 9.0)), (5, 3));
    assert_eq!(refused(|actual| (actual[1], actual[5]) = (99.0, 9.0)), (1, 2));
}

#[test]
fn zeros_are_not_free() {
    for (at, small) in [(9, 1.1), (10, -1.1), (11, 1.1)] {
        assert_eq!(refused(|actual| actual[at] = (small * tolerance().limit()) as f32), (at, 1));
    }
    let nothing = Tolerance::of(&[0.0; 4], &[0.0; 4]);
    assert_eq!(nothing.limit(), 0.0);
    assert_eq!(nothing.check(&[0.0, -0.0, 0.0, 0.0], &[0.0; 4]), Ok(0.0));
    assert!(nothing.check(&[0.0, 1e-30, 0.0, 0.0], &[0.0; 4]).is_err());
}

#[test]
fn infinities_must_be_the_same() {
    const NO_KEY: f64 = f64::NEG_INFINITY;
    let expected = [NO_KEY, 1.5, NO_KEY];
    let lse = Tolerance::of(&expected, &[f32::NEG_INFINITY, 1.5, f32::NEG_INFINITY]);
    assert!(lse.limit() > 0.0 && lse.limit() < 1e-6);
    let check = |actual: [f32; 3]| lse.check(&actual, &expected).map_err(|mismatch| (mismatch.index, mismatch.outside));
    let right = f32::NEG_INFINITY;
    assert_eq!(check([right, 1.5, right]), Ok(0.0));
    for wrong in [f32::INFINITY, f32::NAN, f32::MIN, -1e30, 0.0] {
        assert_eq!(check([wrong, 1.5, right]), Err((0, 1)));
        assert_eq!(check([right, 1.5, wrong]), Err((2, 1)));
    }
    for wrong in [f32::NEG_INFINITY, f32::INFINITY, f32::NAN] {
        assert_eq!(check([right, wrong, right]), Err((1, 1)));
    }
    // A naive formula that is wrong about an infinity does not widen the limit.
    assert!(Tolerance::of(&expected, &[0.0, 1.5, f32::INFINITY]).limit() < 1e-6);
}

#[test]
fn lengths_must_be_the_same() {
    let short = tolerance().check(&exact()[..14], &EXPECTED).expect_err("an element is missing");
    assert_eq!((short.index, short.outside), (14, 1));
    let long = tolerance().check(&[exact(), vec![0.0; 2]].concat(), &EXPECTED).expect_err("there are two too many");
    assert_eq!((long.index, long.outside), (15, 2));
    assert!(tolerance().check(&[], &EXPECTED).is_err());
    assert!(tolerance().check(&[], &[]).is_ok());
}

/// What `reference::check` says of a right result, changed.
fn checked(change: impl FnOnce(&mut Outputs<f32>)) -> Result<usize, (Tensor, usize)> {
    let shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 3, kv_len: 4, head_dim: 2, value_dim: 2 };
    let spec = Spec::new(shape).mask(Mask::causal()).align(Align::At(-1));
    let spec = spec.lse().weights().scores(ScoreStage::Masked);
    let data: Vec<_> = (0..12).map(|i| (i * 7 % 12) as f32 / 4.0 - 1.0).collect();
    let inputs = Inputs::new(&data, &data[4..], &data[2..10]);
    let mut outputs = reference::naive(&spec, &inputs);
    change(&mut outputs);
    check(&spec, &inputs, &outputs).map(|margins| margins.len()).map_err(|wrong| (wrong.tensor, wrong.mismatch.index))
}

#[test]
fn every_output_is_compared() {
    assert_eq!(checked(|_| ()), Ok(4));
    assert_eq!(checked(|outputs| outputs.get_mut(Tensor::Out).expect("asked for")[11] += 1e-3), Err((Tensor::Out, 11)));
    // Query 0 sees no key.
    assert_eq!(checked(|outputs| outputs.get_mut(Tensor::Out).expect("asked for")[0] = 1e-6), Err((Tensor::Out, 0)));
    let lse =
        |at: usize, x: f32| checked(|outputs| outputs.get_mut(Tensor::Lse).into_iter().for_each(|lse| lse[at] = x));
    assert_eq!((lse(0, f32::INFINITY), lse(3, -1e30)), (Err((Tensor::Lse, 0)), Err((Tensor::Lse, 3))));
    assert_eq!(lse(5, f32::NAN), Err((Tensor::Lse, 5)));
    let weights =
        checked(|outputs| outputs.get_mut(Tensor::Weights).into_iter().for_each(|weights| weights[23] += 1e-4));
    assert_eq!(weights, Err((Tensor::Weights, 23)));
    let scores = checked(|outputs| outputs.get_mut(Tensor::Scores).into_iter().for_each(|scores| scores[0] = -1e30));
    assert_eq!(scores, Err((Tensor::Scores, 0)));
}

#[test]
fn absent_outputs_are_wrong() {
    assert_eq!(checked(|outputs| outputs.get_mut(Tensor::Out).expect("asked for").clear()), Err((Tensor::Out, 0)));
    assert_eq!(
        checked(|outputs| outputs.get_mut(Tensor::Out).expect("asked for").truncate(10)),
        Err((Tensor::Out, 10))
    );
    assert_eq!(checked(|outputs| drop(outputs.take(Tensor::Lse))), Err((Tensor::Lse, 0)));
    assert_eq!(checked(|outputs| drop(outputs.take(Tensor::Weights))), Err((Tensor::Weights, 0)));
    assert_eq!(checked(|outputs| drop(outputs.take(Tensor::Scores))), Err((Tensor::Scores, 0)));
}

/// The lse of three scores of -ln 3 is 0, the sum of two terms that are not.
#[test]
fn terms_count_that_cancel() {
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 3, head_dim: 1, value_dim: 1 };
    let spec = Spec::new(shape).lse();
    let q = [-3f32.ln()];
    let inputs = Inputs::new(&q, &[1.0; 3], &[1.0, -2.0, 1.0]);
    let oracle = reference::attention(&spec, &inputs);
    assert!(oracle.lse().into_iter().flatten().chain(oracle.out()).all(|x| x.abs() < 1e-7), "{oracle:?}");
    let epsilon = f64::from(f32::EPSILON);
    let least = [(Tensor::Out, 2.0 * epsilon * 4.0 / 3.0), (Tensor::Lse, 2.0 * epsilon * 2.0 * 3f64.ln())];
    let found = reference::tolerances(&spec, &inputs, &oracle);
    for ((of, tolerance), (tensor, least)) in found.into_iter().zip(least) {
        assert_eq!(of, tensor);
        assert!(tolerance.limit() > 0.99 * least && tolerance.limit() < 2.0 * least, "{tensor:?} {tolerance:?}");
    }
}

/// Few numbers, much cancellation: where one summation is exact by luck, another right one must still be accepted.
#[test]
fn tiny_problems_are_not_refused_by_bad_luck() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut refused_by_one_order = 0;
    for n in 0..1500 {
        let (q_len, kv_len) = (rng.u32(1..4), rng.u32(1..41));
        let (head_dim, value_dim) = (rng.u32(1..65), rng.u32(1..9));
        let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len, kv_len, head_dim, value_dim };
        let spec = Spec::new(shape).lse();
        let mut numbers = |n: u32| (0..n).map(|_| 4.0 * rng.f32() - 2.0).collect::<Vec<f32>>();
        let (q, k, v) = (numbers(q_len * head_dim), numbers(kv_len * head_dim), numbers(kv_len * value_dim));
        let inputs = Inputs::new(&q, &k, &v);
        let twin = reference::tiled(&spec, &inputs, Tiles { rows: 32, keys: 8 });
        check(&spec, &inputs, &twin).unwrap_or_else(|wrong| panic!("{n}: {wrong}"));
        let (oracle, naive) = (reference::attention(&spec, &inputs), reference::naive(&spec, &inputs));
        refused_by_one_order +=
            usize::from(Tolerance::of(oracle.out(), naive.out()).check(twin.out(), oracle.out()).is_err());
    }
    assert!(refused_by_one_order > 0, "nothing here needs more than one order");
}
