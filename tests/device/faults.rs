//! Inputs that people reported as giving a wrong number, each for its kind: scores that are large, near each other behind a common
//! offset, or beyond any sum; appends that do not fit; activations far below 0.

use wgpu_attention::{
    Activation, Algorithm, Align, DType, Data, Error, Inputs, Layout, Linear, MapOf, Mask, Measures, Pool, Shape, Spec,
    Tensor,
};

use crate::support::stable_gpu;

/// Those that take f32.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Tile, Algorithm::Row, Algorithm::Decode];

fn shape(q_heads: u32, q_len: u32, kv_len: u32) -> Shape {
    Shape { batch: 1, q_heads, kv_heads: 1, q_len, kv_len, head_dim: 1, value_dim: 1 }
}

/// Rows that do not exist fill up blocks of rows and of heads that share keys: whatever a score is, they add nothing.
#[test]
#[ignore = "needs an adapter"]
fn rows_that_are_not_there_add_nothing() {
    let gpu = stable_gpu();
    for (heads, rows, keys) in [(1, 1, 1), (1, 17, 45), (3, 1, 45), (3, 17, 70), (5, 33, 130)] {
        for score in [89.0, 1e4, 1e30] {
            let (q, k) = (vec![score; (heads * rows) as usize], vec![1.0; keys as usize]);
            let inputs = Inputs::without_values(&q, &k);
            let spec = Spec::new(shape(heads, rows, keys)).scale(1.0);
            let measures =
                Measures::of(&spec).rows().top(keys.min(2)).received().map(1, keys.min(7), Pool::Sum, MapOf::EachHead);
            let outputs = gpu.run(&measures, &inputs).expect("it runs");
            let name = format!("{heads} heads, {rows} rows, {keys} keys, scores {score:e}");
            for sums in [outputs.received(), outputs.map()] {
                for head in sums.expect("asked for").chunks(sums.map_or(1, |all| all.len() / heads as usize)) {
                    let sum: f32 = head.iter().sum();
                    assert!((sum - rows as f32).abs() <= 1e-5 * rows as f32, "{name}: {sum}");
                }
            }
            for row in outputs.row_measures().expect("asked for").chunks(7) {
                assert!((row[3] - 1.0).abs() < 1e-5 && row.iter().all(|x| x.is_finite()), "{name}: {row:?}");
            }
            assert!(outputs.top_weights().expect("asked for").iter().all(|weight| weight.is_finite()), "{name}");
        }
    }
}

/// A softmax of two scores that differ by 1 is the same wherever they lie, as long as f32 tells them apart.
#[test]
#[ignore = "needs an adapter"]
fn a_common_offset_changes_no_weight() {
    let (gpu, exact) = (stable_gpu(), 1.0 / (1.0 + (-1f64).exp()));
    for offset in [0.0, 2.45e5, 1e6, 1e7, -1e7] {
        let (q, k, v) = ([1.0; 20], [offset, offset + 1.0], [0.0, 1.0]);
        for rows in [1, 20] {
            let spec = Spec::new(shape(1, rows, 2)).scale(1.0).lse();
            let inputs = Inputs::new(&q[..rows as usize], &k, &v);
            for algorithm in ALGORITHMS {
                let outputs = gpu.run_with(algorithm, &spec, &inputs).expect("it can compute this");
                for &out in outputs.out() {
                    assert!((f64::from(out) - exact).abs() < 1e-6, "{algorithm}, {rows} rows at {offset:e}: {out}");
                }
                let outputs = gpu.run_with(algorithm, spec.clone().weights(), &inputs).expect("it can compute this");
                for &weight in outputs.weights().expect("asked for").iter().skip(1).step_by(2) {
                    assert!((f64::from(weight) - exact).abs() < 1e-6, "{algorithm} at {offset:e}: {weight}");
                }
            }
        }
    }
}

/// Scores past what sums can hold count as the largest or the smallest that they can: results stay among the values.
#[test]
#[ignore = "needs an adapter"]
fn scores_beyond_the_bounds_stay_among_the_values() {
    let gpu = stable_gpu();
    let pairs = Layout::broadcast(&[1, 2]).expect("two sizes");
    let (v, bias) = ([2.0, 4.0], [2.4e38, -1e38]);
    let plain = Spec::new(shape(1, 1, 2)).scale(1.0).lse();
    let sunk = plain.clone().sinks();
    let biased = plain.clone().bias(pairs, 2);
    for (what, spec, inputs, expected) in [
        ("products", &plain, Inputs::new(&[1e19], &[1e19, -1e19], &v), 2.0),
        ("products above f32", &plain, Inputs::new(&[1e30], &[1e30, -1.0], &v), 2.0),
        ("biases", &biased, Inputs::new(&[1.0], &[1.0, 1.0], &v).bias(&bias), 2.0),
        ("a sink", &sunk, Inputs::new(&[1.0], &[1.0, 1.0], &v).sinks(&[3e38]), 0.0),
        ("a sink below all", &sunk, Inputs::new(&[0.0], &[1.0, 1.0], &v).sinks(&[-3e38]), 3.0),
    ] {
        for algorithm in ALGORITHMS {
            let outputs = gpu.run_with(algorithm, spec, &inputs).expect("it can compute this");
            assert_eq!(outputs.out(), [expected], "{what}, {algorithm}");
            assert!(outputs.lse().is_some_and(|lse| lse[0].is_finite()), "{what}, {algorithm}: {:?}", outputs.lse());
        }
    }
}

/// Of four new rows the cache has room for two. The queries whose keys fit stand where they would with room for all.
#[test]
#[ignore = "needs an adapter"]
fn queries_stand_where_their_keys_would() {
    let gpu = stable_gpu();
    let spec = Spec::new(shape(1, 4, 4)).mask(Mask::causal()).align(Align::End).append(4);
    let inputs = Inputs::new(&[0.0; 4], &[0.0; 4], &[1.0, 2.0, 0.0, 0.0]);
    let inputs = inputs.append(&[0.0; 4], &[3.0, 4.0, 9.0, 9.0]).kv_lens(&[2]);
    for algorithm in ALGORITHMS {
        let outputs = gpu.run_with(algorithm, &spec, &inputs).expect("it can compute this");
        assert_eq!(outputs.out(), [2.0, 2.5, 2.5, 2.5], "{algorithm}");
        assert_eq!(outputs.v(), Some(&[1.0, 2.0, 3.0, 4.0][..]));
    }
    assert_eq!(spec.dropped(&[0, 2, 4, 9]), [0, 2, 4, 4]);
    assert_eq!(Spec::new(shape(1, 4, 4)).dropped(&[9]), [0]);
}

#[test]
#[ignore = "needs an adapter"]
fn activations_far_below_zero_are_zero() {
    let gpu = stable_gpu();
    let x = [-1e30, -3e38, -1e4, -100.0];
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Relu] {
        for rows in [4, 64] {
            let all = x.repeat(rows as usize / 4);
            let inputs = Inputs::default().set(Tensor::X, Data::Floats(&all)).set(Tensor::Weight, Data::Floats(&[1.0]));
            let outputs = gpu.run(Linear::new(rows, 1, 1).activation(activation), &inputs).expect("it runs");
            assert!(outputs.out().iter().all(|&y| y.abs() < 1e-30), "{activation:?}: {:?}", &outputs.out()[..4]);
        }
    }
}

/// A number that its type cannot hold is named before anything is uploaded.
#[test]
#[ignore = "needs an adapter"]
fn numbers_that_a_type_cannot_hold_are_refused() {
    let (gpu, spec) = (stable_gpu(), Spec::new(shape(1, 1, 2)).kv_type(DType::F16));
    let refusal = gpu.run(&spec, &Inputs::new(&[1.0], &[65504.0, 1e5], &[1.0, 1.0])).expect_err("1e5 is no f16");
    let beyond = Error::Beyond { name: "k", index: 1, got: "1e5".into(), dtype: "f16" };
    assert_eq!(refusal, beyond);
    gpu.run(&spec, &Inputs::new(&[1e-30], &[65504.0, f32::INFINITY], &[1.0, 1.0])).expect("infinity is as given");
}
