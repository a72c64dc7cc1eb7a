//! What is made of attention weights on the host.

use wgpu_attention::{
    Align, Data, Divergence, Error, Inputs, Layout, MapOf, Mask, Measures, Outputs, Pool, Problem, Shape, Spec, Tensor,
    inspect::{Agreement, PatchRegions, divergence, heads},
    reference,
};

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 9, kv_len: 12, head_dim: 4, value_dim: 4 };

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| 4.0 * rng.f32() - 2.0).collect()
}

fn inputs(spec: &Spec, data: &mut [Vec<f32>; 2]) {
    let extent = |tensor| spec.view(tensor).expect("it has it").extent().expect("a size") as usize;
    *data = [numbers(extent(Tensor::Q), 1), numbers(extent(Tensor::K), 2)];
}

#[test]
fn agreement_counts_ties_by_their_share() {
    let of = |weights: &[f32], marked: &[bool]| Agreement::of(weights, marked).expect("something is marked");
    let all = of(&[0.1; 4], &[true; 4]);
    assert_eq!((all.mass(), all.precision_at(3), all.average_precision()), (1.0, 1.0, 1.0));
    let even = of(&[0.25; 4], &[true, false, false, false]);
    assert_eq!((even.precision_at(1), even.precision_at(4), even.precision_at(9)), (0.25, 0.25, 0.25));
    assert_eq!(even.average_precision(), 0.25, "chance");
    let last = of(&[3.0, 2.0, 1.0], &[false, false, true]);
    assert_eq!((last.precision_at(1), last.precision_at(2)), (0.0, 0.0));
    approx::assert_relative_eq!(last.average_precision(), 1.0 / 3.0, max_relative = 1e-12);
    assert_eq!(of(&[0.0; 2], &[true, false]).mass(), 0.0, "a row that sees no key");
    for (weights, marked) in [(&[1.0][..], &[true, false][..]), (&[1.0], &[false]), (&[f32::NAN], &[true]), (&[], &[])]
    {
        assert_eq!(Agreement::of(weights, marked), None, "{weights:?} {marked:?}");
    }
}

#[test]
fn divergence_is_symmetric_and_bounded() {
    let (a, b) = ([0.1, 0.2, 0.7, 0.0], [0.3, 0.0, 0.3, 0.4]);
    approx::assert_relative_eq!(divergence(&a, &b), divergence(&b, &a), max_relative = 1e-12);
    assert!(divergence(&a, &b) > 0.0 && divergence(&a, &b) < 2f64.ln());
    let half = a.map(|w| w / 2.0);
    approx::assert_abs_diff_eq!(divergence(&a, &half), 0.0, epsilon = 1e-7);
    assert_eq!(divergence(&[0.0; 4], &[0.0; 4]), 0.0);
    assert_eq!(divergence(&a, &[0.0; 4]), 2f64.ln());
}

/// The usual formula where it cancels little; its second order, `sum of (a - b)^2 / (8 a)`, where it would cancel.
#[test]
fn divergence_is_right_near_and_far() {
    let mut rng = fastrand::Rng::with_seed(1);
    for reach in [1.0, 0.3, 1e-2, 1e-4, 1e-6] {
        let a: [f32; 50] = std::array::from_fn(|_| 0.1 + rng.f32());
        let b = a.map(|w| w * (1.0 + reach * (2.0 * rng.f32() - 1.0)));
        let shares = |row: [f32; 50]| row.map(|w| f64::from(w) / row.iter().map(|&w| f64::from(w)).sum::<f64>());
        let pairs: Vec<_> = shares(a).into_iter().zip(shares(b)).collect();
        let term = |x: f64, y: f64| x / 2.0 * (2.0 * x / (x + y)).ln();
        let (expected, near) = match reach {
            0.1.. => (pairs.iter().map(|&(x, y)| term(x, y) + term(y, x)).sum::<f64>(), 1e-12),
            _ => (pairs.iter().map(|(x, y)| (x - y).powi(2) / (8.0 * (x + y) / 2.0)).sum(), f64::from(reach)),
        };
        approx::assert_relative_eq!(divergence(&a, &b), expected, max_relative = near);
    }
    assert_eq!(divergence(&[f32::MIN_POSITIVE / 2.0], &[1.0]), 2f64.ln(), "no device can tell it from 0");
}

/// The oracle of all rows is the function of one, and the checker refuses each of its numbers.
#[test]
fn comparisons_are_divergences_of_rows() {
    let (a, b) = (numbers(2 * 3 * 5, 8).iter().map(|w| w.abs()).collect::<Vec<_>>(), vec![0.3; 2 * 3 * 5]);
    let problem = Divergence::new([2, 1, 3, 5]);
    let inputs = Inputs::default().set(Tensor::Weights, Data::Floats(&a));
    let inputs = inputs.set(Tensor::OtherWeights, Data::Floats(&b));
    let rows = reference::divergence(&problem, &inputs).take(Tensor::Divergence).expect("it is the output");
    for (row, (a, b)) in rows.chunks(2).zip(a.chunks(5).zip(b.chunks(5))) {
        let largest = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max);
        assert_eq!(row, [divergence(a, b), largest]);
    }
    let mut outputs = Outputs::of(vec![]);
    let mut check = |change: &dyn Fn(&mut Vec<f32>)| {
        let mut found = rows.iter().map(|&x| x as f32).collect();
        change(&mut found);
        outputs.set(Tensor::Divergence, found);
        reference::check(&problem, &inputs, &outputs).map(|all| all.len()).map_err(|wrong| wrong.mismatch.index)
    };
    assert_eq!(check(&|_| ()), Ok(2));
    for index in 0..12 {
        assert_eq!(check(&|found| found[index] += 1e-5), Err(index));
    }
    assert_eq!(check(&|found| found.truncate(11)), Err(11));
}

#[test]
fn heads_are_means_of_rows_that_see_a_key() {
    // Rows 0..3 see nothing; row i sees keys 0..=i - 3.
    let spec = Spec::new(SHAPE).mask(Mask::causal()).align(Align::At(-3)).only(1..3, 0..9);
    let measures = Measures::of(&spec).ranges(1);
    let mut data = [vec![], vec![]];
    inputs(&spec, &mut data);
    let inputs = Inputs::without_values(&data[0], &data[1]).ranges(&[0, 12]);
    let outputs = reference::measures(&measures, &inputs);
    let all = heads(&measures, &outputs);
    assert_eq!(all.iter().map(|head| (head.batch, head.head)).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 1), (1, 2)]);
    for head in all {
        assert_eq!(head.rows, 6);
        approx::assert_relative_eq!(head.sum, 1.0, max_relative = 1e-12);
        approx::assert_relative_eq!(head.ranges[0], 1.0, max_relative = 1e-12);
        assert!(head.own > 0.0 && head.previous > 0.0 && head.first > 0.0 && head.own + head.previous < 1.0);
        assert!(head.entropy > 0.0 && head.broadness < 1.0 && head.largest > 0.0 && head.distance > 0.0);
    }
    assert!(
        heads(
            &Measures::of(&spec).received(),
            &reference::measures(&Measures::of(&spec).received(), &inputs_of(&data))
        )
        .is_empty()
    );
}

fn inputs_of(data: &[Vec<f32>; 2]) -> Inputs<'_> {
    Inputs::without_values(&data[0], &data[1])
}

/// What adds up must add up: maps and what keys receive hold the weights of all rows.
#[test]
fn measures_of_the_oracle_agree_with_each_other() {
    let square = Layout::broadcast(&[9, 12]).expect("two sizes");
    let spec = Spec::new(SHAPE).sinks().bias(square, 12);
    let mut data = [vec![], vec![]];
    inputs(&spec, &mut data);
    let (bias, sinks) = (numbers(9 * 12, 3), numbers(4, 4));
    let inputs = inputs_of(&data).bias(&bias).sinks(&sinks);
    let measures = Measures::of(&spec).rows().received().top(12);
    let each = reference::measures(&measures.clone().map(4, 5, Pool::Sum, MapOf::EachHead), &inputs);
    let mean = reference::measures(&measures.map(4, 5, Pool::Sum, MapOf::AllHeads), &inputs);
    let sum = |data: Option<&[f64]>| data.expect("asked for").iter().sum::<f64>();
    let rows: f64 = each.row_measures().expect("asked for").chunks(7).map(|row| row[3]).sum();
    assert!(rows < 2.0 * 4.0 * 9.0, "sinks take a share");
    for all in [sum(each.received()), sum(each.map()), sum(each.top_weights()), 4.0 * sum(mean.map())] {
        approx::assert_relative_eq!(all, rows, max_relative = 1e-6);
    }
}

#[test]
fn cells_are_as_large_as_it_takes() {
    let spec = Spec::new(SHAPE);
    for ([rows, columns], cell, map) in
        [([9, 12], [1, 1], [9, 12]), ([4, 5], [3, 3], [3, 4]), ([1, 1], [9, 12], [1, 1])]
    {
        let measures = Measures::of(&spec).map(rows, columns, Pool::Max, MapOf::AllHeads);
        assert_eq!(measures.cell(), Some(cell));
        assert_eq!(Problem::from(&measures).view(Tensor::Map).expect("asked for").sizes, [2, 1, map[0], map[1]]);
    }
}

#[test]
fn measures_that_make_no_sense_are_refused() {
    let of = || Measures::of(&Spec::new(SHAPE));
    let refused = |measures: Measures| Problem::from(measures).check().expect_err("it makes no sense").to_string();
    assert_eq!(Problem::from(of()).check(), Err(Error::NoOutput));
    assert_eq!(refused(of().top(13)), "top 13 is above 12");
    assert_eq!(refused(of().ranges(17)), "ranges 17 is above 16");
    assert_eq!(refused(of().map(10, 3, Pool::Sum, MapOf::EachHead)), "rows of the map 10 is above 9");
    assert_eq!(refused(of().map(9, 0, Pool::Sum, MapOf::EachHead)), "columns of the map is 0");
    let append = Measures::of(&Spec::new(SHAPE).append(1)).rows();
    assert_eq!(refused(append), "measures does not go with append: append first, and measure with the new lengths");
    let causal = Measures::of(&Spec::new(SHAPE).mask(Mask::causal())).rows();
    assert_eq!(Problem::from(causal).check(), Err(Error::Align));
}

#[test]
fn regions_of_a_grid_give_to_each_other() {
    // A class token and 4 x 2 patches.
    let grid = PatchRegions::new(4, 2).after(1);
    let shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 9, kv_len: 9, ..SHAPE };
    let spec = Spec::new(shape).weights().without_out();
    let (q, k, v) = (numbers(2 * 9 * 4, 5), numbers(9 * 4, 6), numbers(9 * 4, 7));
    let weights = reference::attention(&spec, &Inputs::new(&q, &k, &v)).take(Tensor::Weights).expect("asked for");
    let to = grid.region(2..4, 0..2).expect("it is inside");
    assert_eq!(to, [3, 5, 7, 9]);
    let measures = Measures::of(&spec).ranges(2);
    let outputs = reference::measures(&measures, &Inputs::without_values(&q, &k).ranges(&to));
    let mass = grid.region_to_region(&measures, &outputs, (0..2, 0..1)).expect("all rows were measured");
    for (head, mass) in mass.into_iter().enumerate() {
        let row = |token: u32| &weights[(head * 9 + token as usize) * 9..][..9];
        let of = |token: u32| [3, 4, 7, 8].iter().map(|&key: &usize| row(token)[key]).sum::<f64>();
        approx::assert_relative_eq!(mass, (of(grid.token(0, 0)) + of(grid.token(1, 0))) / 2.0, max_relative = 1e-6);
    }
    assert_eq!(grid.seen(&weights[..9]), Some(&weights[1..9]));
    assert_eq!(grid.seen(&weights[..8]), None);
    for (x, y) in [(0..0, 0..1), (0..5, 0..1), (2..2, 0..1), (0..1, 1..3)] {
        assert_eq!(grid.region(x, y), None);
    }
    let some = Measures::of(&spec.only(0..2, 3..9)).ranges(2);
    let outputs = reference::measures(&some, &Inputs::without_values(&q, &k).ranges(&to));
    assert_eq!(grid.region_to_region(&some, &outputs, (0..2, 0..1)), None, "rows 1 and 2 were not measured");
    assert!(grid.region_to_region(&some, &outputs, (2..4, 0..1)).is_some());
}
