//! What holds of attention whatever the numbers, of the oracle, the naive formula and the twin alike.

use wgpu_attention::{Align, Mask, Outputs, Shape, Spec, Tensor};

use crate::{
    case::Case,
    reference::problem::{SHAPE, Way, masked, near, sees},
};

/// Both problems give the same out, and log-sum-exps that differ by `shift`, as near as each way computes them.
fn agree(way: Way, found: &Case, expected: &Case, shift: f64) {
    let limit = |tensor| way.limit(found, tensor) + way.limit(expected, tensor);
    let [a, b] = [found, expected].map(|problem| way.run(problem));
    near("out", a.out(), b.out(), limit(Tensor::Out));
    let shifted: Vec<_> = b.lse().into_iter().flatten().map(|lse| lse + shift).collect();
    near("lse", a.lse().unwrap_or_default(), &shifted, limit(Tensor::Lse));
}

/// A mask on any shape.
type Build = fn(Shape) -> Spec;

fn full(shape: Shape) -> Spec {
    Spec::new(shape).lse()
}

fn causal(shape: Shape) -> Spec {
    full(shape).mask(Mask::causal()).align(Align::End)
}

fn windowed(shape: Shape) -> Spec {
    masked(shape).lse()
}

/// Full, causal, windowed with an empty row, one query, more queries than keys.
fn problems() -> Vec<(Case, Build)> {
    let kinds: [(Build, Shape); 5] = [
        (full, SHAPE),
        (causal, SHAPE),
        (windowed, SHAPE),
        (causal, Shape { q_len: 1, kv_len: 33, ..SHAPE }),
        (causal, Shape { q_len: 11, kv_len: 6, kv_heads: 1, ..SHAPE }),
    ];
    (0..).zip(kinds).map(|(seed, (build, shape))| (Case::random(build(shape), seed), build)).collect()
}

fn each(law: impl Fn(Way, &Case, Build)) {
    for (problem, build) in problems() {
        Way::ALL.into_iter().for_each(|way| law(way, &problem, build));
    }
}

fn sizes(problem: &Case) -> [usize; 7] {
    let s = problem.spec.shape();
    [s.batch, s.q_heads, s.kv_heads, s.q_len, s.kv_len, s.head_dim, s.value_dim].map(|size| size as usize)
}

/// Rows of so many elements in another order, `order(row)` first.
fn reordered(data: &[f32], row: usize, order: impl Fn(usize) -> usize) -> Vec<f32> {
    (0..data.len() / row).flat_map(|i| &data[order(i) * row..][..row]).copied().collect()
}

#[test]
fn order_of_keys_is_irrelevant() {
    for way in Way::ALL {
        let problem = Case::random(Spec::new(Shape { kv_len: 19, ..SHAPE }).lse(), 7);
        let [.., keys, dim, value_dim] = sizes(&problem);
        // 7 and 19 have no common factor: each head's keys in the order 0, 7, 14, 2, ...
        let order = |row: usize| row / keys * keys + row % keys * 7 % keys;
        let k = reordered(problem.floats(Tensor::K), dim, order);
        let v = reordered(problem.floats(Tensor::V), value_dim, order);
        assert_ne!(k, problem.floats(Tensor::K));
        let mixed = problem.clone().with(Tensor::K, k);
        agree(way, &mixed.clone().with(Tensor::V, v), &problem, 0.0);
        // And keys alone: not the same.
        let [mixed, right] = [mixed, problem].map(|problem| way.run(&problem).out().to_vec());
        assert!(mixed.iter().zip(&right).any(|(a, b)| (a - b).abs() > 0.1));
    }
}

#[test]
fn a_constant_on_all_scores_changes_nothing() {
    each(|way, problem, build| {
        let shape = *problem.spec.shape();
        let scale = problem.spec.scale_or_default();
        let wider = |data: &[f32], x: f32| {
            data.chunks(shape.head_dim as usize).flat_map(|row| row.iter().copied().chain([x])).collect::<Vec<_>>()
        };
        let spec = build(Shape { head_dim: shape.head_dim + 1, ..shape }).scale(scale);
        let (q, k) = (wider(problem.floats(Tensor::Q), 1.0), wider(problem.floats(Tensor::K), 8.0));
        let raised = problem.as_spec(spec).with(Tensor::Q, q).with(Tensor::K, k);
        agree(way, &raised, problem, 8.0 * f64::from(scale));
    });
}

/// The keys `from..to` of every head alone, each where it stood.
fn part(problem: &Case, from: usize, to: usize, mask: Option<(Mask, i64)>) -> Case {
    let [_, _, _, _, keys, dim, value_dim] = sizes(problem);
    let cut = |data: &[f32], dim: usize| -> Vec<f32> {
        data.chunks(keys * dim).flat_map(|head| &head[from * dim..to * dim]).copied().collect()
    };
    let spec = Spec::new(Shape { kv_len: (to - from) as u32, ..*problem.spec.shape() }).lse();
    let at = |offset: i64| Align::At((offset - from as i64) as i32);
    let spec = mask.map_or(spec.clone(), |(mask, offset)| spec.mask(mask).align(at(offset)));
    let [k, v] = [(Tensor::K, dim), (Tensor::V, value_dim)].map(|(tensor, dim)| cut(problem.floats(tensor), dim));
    problem.as_spec(spec).with(Tensor::K, k).with(Tensor::V, v)
}

/// Two partial results as one, by their log-sum-exps.
fn merge([a, b]: [&Outputs<f64>; 2], value_dim: usize) -> (Vec<f64>, Vec<f64>) {
    let lses = a.lse().into_iter().flatten().zip(b.lse().into_iter().flatten());
    let total = |(x, y): (&f64, &f64)| {
        let high = x.max(*y);
        if high == f64::NEG_INFINITY { high } else { high + ((x - high).exp() + (y - high).exp()).ln() }
    };
    let lse: Vec<_> = lses.clone().map(total).collect();
    let weight = |part: f64, whole: f64| if part == f64::NEG_INFINITY { 0.0 } else { (part - whole).exp() };
    let rows = lses.zip(&lse).enumerate().flat_map(|(row, ((x, y), whole))| {
        let (x, y) = (weight(*x, *whole), weight(*y, *whole));
        (row * value_dim..(row + 1) * value_dim).map(move |at| x * a.out()[at] + y * b.out()[at])
    });
    (rows.collect(), lse)
}

#[test]
fn split_keys_merge_into_one_pass() {
    let mask = Mask::causal().and(Mask::window(Some(3), None));
    let masks = [None, Some((Mask::causal(), 2)), Some((mask, -1)), Some((mask, 4))];
    for (way, mask) in Way::ALL.into_iter().flat_map(|way| masks.map(|mask| (way, mask))) {
        let problem = Case::random(Spec::new(Shape { kv_len: 11, ..SHAPE }), 9);
        let whole = part(&problem, 0, 11, mask);
        for cut in 1..11 {
            let parts = [part(&problem, 0, cut, mask), part(&problem, cut, 11, mask)];
            let [a, b] = parts.each_ref().map(|part| way.run(part));
            let (out, lse) = merge([&a, &b], SHAPE.value_dim as usize);
            let sum = |tensor| parts.iter().chain([&whole]).map(|part| way.limit(part, tensor)).sum::<f64>();
            let found = way.run(&whole);
            near("lse", &lse, found.lse().unwrap_or_default(), sum(Tensor::Lse));
            // A weight is off by a quarter of what its log-sum-exps are, times values of at most 1 on both sides.
            near("out", &out, found.out(), sum(Tensor::Out) + sum(Tensor::Lse));
        }
    }
}

#[test]
fn grouped_heads_are_repeated_heads() {
    each(|way, problem, build| {
        let [batch, q_heads, kv_heads, _, keys, dim, value_dim] = sizes(problem);
        let repeat = |data: &[f32], dim: usize| -> Vec<f32> {
            let mut all = Vec::new();
            for (b, h) in (0..batch).flat_map(|b| (0..q_heads).map(move |h| (b, h))) {
                all.extend(&data[(b * kv_heads + h / (q_heads / kv_heads)) * keys * dim..][..keys * dim]);
            }
            all
        };
        let shape = Shape { kv_heads: q_heads as u32, ..*problem.spec.shape() };
        let (k, v) = (repeat(problem.floats(Tensor::K), dim), repeat(problem.floats(Tensor::V), value_dim));
        let many = problem.as_spec(build(shape)).with(Tensor::K, k).with(Tensor::V, v);
        let [many, grouped] = [&many, problem].map(|problem| way.run(problem));
        assert_eq!(many, grouped);
    });
}

#[test]
fn constant_values_come_out_as_they_are() {
    each(|way, problem, _| {
        let [.., value_dim] = sizes(problem);
        let constants = [0.75, -3.0, 11.0];
        let mut problem = problem.clone();
        problem.floats_mut(Tensor::V).chunks_mut(value_dim).for_each(|row| row.copy_from_slice(&constants));
        let found = way.run(&problem);
        let limit = way.limit(&problem, Tensor::Out);
        for (out, lse) in found.out().chunks(value_dim).zip(found.lse().into_iter().flatten()) {
            let expected = if lse.is_finite() { constants.map(f64::from) } else { [0.0; 3] };
            near("out", out, &expected, limit);
        }
    });
}

#[test]
fn order_of_batch_items_is_irrelevant() {
    each(|way, problem, _| {
        let swapped = |data: &[f32]| [&data[data.len() / 2..], &data[..data.len() / 2]].concat();
        let tensors = [Tensor::Q, Tensor::K, Tensor::V];
        let swap = |case: Case, tensor| case.with(tensor, swapped(problem.floats(tensor)));
        let mut found = way.run(&tensors.into_iter().fold(problem.clone(), swap));
        let half = found.out().len() / 2;
        found.get_mut(Tensor::Out).expect("asked for").rotate_left(half);
        found.get_mut(Tensor::Lse).into_iter().for_each(|lse| lse.rotate_left(half / SHAPE.value_dim as usize));
        assert_eq!(found, way.run(problem));
    });
}

#[test]
fn a_row_that_sees_no_key_is_nothing() {
    let mut empty = 0;
    for (problem, _) in problems() {
        let problem = problem.as_spec(problem.spec.clone().weights());
        let [_, q_heads, _, q_len, keys, _, value_dim] = sizes(&problem);
        for way in Way::ALL {
            let found = way.run(&problem);
            for (row, lse) in found.lse().into_iter().flatten().enumerate() {
                let blind = (0..keys).all(|j| !sees(&problem, row % q_len, j));
                assert_eq!(*lse == f64::NEG_INFINITY, blind, "row {row} of {q_heads} heads");
                let out = &found.out()[row * value_dim..][..value_dim];
                assert_eq!(out.iter().all(|&x| x == 0.0), blind);
                let weights = found.weights().unwrap_or_default();
                assert!(!blind || weights.is_empty() || weights[row * keys..][..keys].iter().all(|&w| w == 0.0));
                empty += usize::from(blind);
            }
        }
    }
    assert!(empty > 0);
}

#[test]
fn weights_sum_to_one_and_hide_what_is_hidden() {
    for (problem, _) in problems() {
        let problem = problem.as_spec(problem.spec.clone().weights());
        let [_, _, _, q_len, keys, ..] = sizes(&problem);
        for way in [Way::Oracle, Way::Naive] {
            let found = way.run(&problem);
            let limit = keys as f64 * way.limit(&problem, Tensor::Weights);
            for (row, weights) in found.weights().unwrap_or_default().chunks(keys).enumerate() {
                let seen = |j: usize| sees(&problem, row % q_len, j);
                let some = (0..keys).any(seen);
                near("sum", &[weights.iter().sum()], &[f64::from(u8::from(some))], limit);
                assert!((0..keys).all(|j| (weights[j] > 0.0) == seen(j)), "{weights:?}");
            }
        }
    }
}
