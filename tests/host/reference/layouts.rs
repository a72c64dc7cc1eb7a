//! A layout changes where numbers lie, and nothing else: every way gives the dense result, bit for bit.

use wgpu_attention::{Layout, Order, Shape, Spec, Tensor};

use crate::{
    case::{Case, each},
    reference::problem::{SHAPE, Way, masked},
};

/// The elements of a tensor in the order of its indices, wherever they lie.
fn gathered<T: Copy>(spec: &Spec, tensor: Tensor, data: &[T]) -> Vec<T> {
    places(spec, tensor).into_iter().map(|place| data[place]).collect()
}

/// Where each element of a tensor lies, in the order of its indices.
fn places(spec: &Spec, tensor: Tensor) -> Vec<usize> {
    let view = spec.view(tensor).expect("the problem has it");
    let mut all = Vec::new();
    each(&view, |at, _| all.push(at));
    all
}

/// The same numbers as the dense problem, laid out as `spec` says. What no index reaches is NaN.
fn laid_out(dense: &Case, spec: Spec) -> Case {
    let scatter = |tensor: Tensor, data: &[f32]| {
        let places = places(&spec, tensor);
        let mut scattered = vec![f32::NAN; places.iter().max().map_or(0, |last| last + 1)];
        places.into_iter().zip(data).for_each(|(place, &x)| scattered[place] = x);
        scattered
    };
    let [q, k, v] = [Tensor::Q, Tensor::K, Tensor::V].map(|tensor| scatter(tensor, dense.floats(tensor)));
    dense.as_spec(spec).with(Tensor::Q, q).with(Tensor::K, k).with(Tensor::V, v)
}

/// Every way gives the dense numbers, and 0 in the gaps of out.
fn same_as_dense(spec: Spec) {
    let dense = Case::random(masked(*spec.shape()).lse().weights(), 11);
    let problem = laid_out(&dense, spec.lse().weights());
    for way in Way::ALL {
        let [found, expected] = [&problem, &dense].map(|problem| way.run(problem));
        assert_eq!(gathered(&problem.spec, Tensor::Out, found.out()), expected.out(), "{way:?} {:?}", problem.spec);
        assert_eq!((found.lse(), found.weights()), (expected.lse(), expected.weights()));
        let mut rest = found.out().to_vec();
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
    let dense = Case::random(masked(shape).lse(), 13);
    let apart = laid_out(&dense, spec.lse());
    let mut packed = vec![f32::NAN; 2 * 5 * 72];
    for tensor in [Tensor::Q, Tensor::K, Tensor::V] {
        packed.iter_mut().zip(apart.floats(tensor)).filter(|(_, x)| !x.is_nan()).for_each(|(to, &x)| *to = x);
    }
    assert!(packed.iter().all(|x| !x.is_nan()), "the three fill it");
    let packed = [Tensor::Q, Tensor::K, Tensor::V].into_iter().fold(apart, |case, t| case.with(t, packed.clone()));
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
    let shared = Case::random(masked(shape).k_layout(one).lse(), 17);
    let copied = shared.as_spec(masked(shape).lse()).with(Tensor::K, shared.floats(Tensor::K).repeat(2));
    Way::ALL.into_iter().for_each(|way| assert_eq!(way.run(&shared), way.run(&copied), "{way:?}"));
}
