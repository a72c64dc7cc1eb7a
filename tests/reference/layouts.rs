//! A layout changes where numbers lie, and nothing else: every way gives the dense result, bit for bit.

use wgpu_attention::{Layout, Order, Shape, Spec, Tensor};

use crate::problem::{Problem, SHAPE, Way, masked};

/// The elements of a tensor in the order of its indices, wherever they lie.
fn gathered<T: Copy>(spec: &Spec, tensor: Tensor, data: &[T]) -> Vec<T> {
    places(spec, tensor).into_iter().map(|place| data[place]).collect()
}

/// Where each element of a tensor lies, in the order of its indices.
fn places(spec: &Spec, tensor: Tensor) -> Vec<usize> {
    let view = spec.view(tensor).expect("the problem has it");
    let ([batch, heads, rows, dim], at) = (view.sizes.map(u64::from), view.layout);
    let mut all = Vec::new();
    for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        for (i, d) in (0..rows).flat_map(|i| (0..dim).map(move |d| (i, d))) {
            all.push((at.offset + b * at.batch + h * at.head + i * at.row + d) as usize);
        }
    }
    all
}

/// The same numbers as the dense problem, laid out as `spec` says. What no index reaches is NaN.
fn laid_out(dense: &Problem, spec: Spec) -> Problem {
    let scatter = |tensor: Tensor, data: &[f32]| {
        let places = places(&spec, tensor);
        let mut scattered = vec![f32::NAN; places.iter().max().map_or(0, |last| last + 1)];
        places.into_iter().zip(data).for_each(|(place, &x)| scattered[place] = x);
        scattered
    };
    let [q, k, v] = [(Tensor::Q, &dense.q), (Tensor::K, &dense.k), (Tensor::V, &dense.v)].map(|(t, x)| scatter(t, x));
    Problem { q, k, v, ..dense.as_spec(spec) }
}

/// Every way gives the dense numbers, and 0 in the gaps of out.
fn same_as_dense(spec: Spec) {
    let dense = Problem::new(masked(*spec.shape()).lse().weights(), 11);
    let problem = laid_out(&dense, spec.lse().weights());
    for way in Way::ALL {
        let [found, expected] = [&problem, &dense].map(|problem| way.run(problem));
        assert_eq!(gathered(&problem.spec, Tensor::Out, &found.out), expected.out, "{way:?} {:?}", problem.spec);
        assert_eq!((&found.lse, &found.weights), (&expected.lse, &expected.weights));
        let mut rest = found.out.clone();
        places(&problem.spec, Tensor::Out).into_iter().for_each(|place| rest[place] = 0.0);
        assert!(rest.iter().all(|&x| x == 0.0), "gaps of out stay 0");
    }
}

#[test]
fn dense_orders_are_the_same() {
    same_as_dense(masked(SHAPE).order(Order::Bhsd));
    same_as_dense(masked(SHAPE).order(Order::Bshd));
    let k = Order::Bhsd.layout(SHAPE.kv_heads, SHAPE.kv_len, SHAPE.head_dim);
    same_as_dense(masked(SHAPE).order(Order::Bshd).k_layout(k));
}

#[test]
fn slices_of_a_packed_projection_are_the_same() {
    // [batch, len, 3, heads, dim]
    let shape = Shape { kv_heads: 4, kv_len: 5, value_dim: 6, ..SHAPE };
    let third = |n: u64| Layout { offset: n * 24, batch: 5 * 72, head: 6, row: 72 };
    let spec = masked(shape).q_layout(third(0)).k_layout(third(1)).v_layout(third(2));
    same_as_dense(spec.clone());
    // And really in one buffer.
    let dense = Problem::new(masked(shape).lse(), 13);
    let apart = laid_out(&dense, spec.lse());
    let mut packed = vec![f32::NAN; 2 * 5 * 72];
    for data in [&apart.q, &apart.k, &apart.v] {
        packed.iter_mut().zip(data).filter(|(_, x)| !x.is_nan()).for_each(|(to, &x)| *to = x);
    }
    assert!(packed.iter().all(|x| !x.is_nan()), "the three fill it");
    let [q, k, v] = [(); 3].map(|()| packed.clone());
    let packed = Problem { q, k, v, ..apart };
    Way::ALL.into_iter().for_each(|way| assert_eq!(way.run(&packed), way.run(&dense), "{way:?}"));
}

#[test]
fn padded_and_permuted_strides_are_the_same() {
    let padded = |dim: u64| Layout { offset: 5, batch: 1000, head: 11 * (dim + 3), row: dim + 3 };
    let inner_batch = |dim: u64| Layout { offset: 1, batch: dim, head: 40 * dim, row: 2 * dim };
    for at in [padded, inner_batch] {
        let spec = masked(SHAPE).q_layout(at(6)).k_layout(at(6)).v_layout(at(3)).out_layout(at(3));
        same_as_dense(spec);
    }
}

#[test]
fn strides_of_zero_repeat() {
    let shape = Shape { kv_heads: 1, ..SHAPE };
    let one = Layout { offset: 0, batch: 0, head: 0, row: 6 };
    let shared = Problem::new(masked(shape).k_layout(one).lse(), 17);
    let copied = Problem { spec: masked(shape).lse(), k: shared.k.repeat(2), ..shared.clone() };
    Way::ALL.into_iter().for_each(|way| assert_eq!(way.run(&shared), way.run(&copied), "{way:?}"));
}
