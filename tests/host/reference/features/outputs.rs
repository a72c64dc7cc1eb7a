//! Types of what is read and written, and outputs of which only some are wanted.

use wgpu_attention::{DType, Slopes, Tensor, reference::row};

use super::{columns, different, everything, identical};
use crate::{
    case::Case,
    reference::problem::{SHAPE, Way, masked},
};

#[test]
fn sixteen_bits_round_what_is_read() {
    for dtype in [DType::F16, DType::Bf16] {
        let spec = masked(SHAPE).q_type(dtype).kv_type(dtype).bias(columns(&SHAPE, 7), 7).lse();
        let problem = Case::random(spec.clone().bias_type(dtype), 32);
        let rounded = |data: &[f32]| data.iter().map(|&x| dtype.round(x)).collect::<Vec<_>>();
        let round = |case: Case, tensor| case.with(tensor, rounded(problem.floats(tensor)));
        let plain = problem.as_spec(masked(SHAPE).bias(columns(&SHAPE, 7), 7).lse());
        let tensors = [Tensor::Q, Tensor::K, Tensor::V, Tensor::Bias];
        identical(&problem, &tensors.into_iter().fold(plain.clone(), round));
        different(&problem, &plain);
        // Each tensor by its own type.
        let only_q = plain.as_spec(masked(SHAPE).q_type(dtype).bias(columns(&SHAPE, 7), 7).lse());
        identical(&only_q, &round(plain, Tensor::Q));
    }
}

#[test]
fn sixteen_bits_round_what_is_written_but_not_by_the_oracle() {
    let problem = Case::random(masked(SHAPE).lse(), 32);
    let narrow = problem.as_spec(masked(SHAPE).lse().out_type(DType::Bf16));
    assert_eq!(Way::Oracle.run(&narrow), Way::Oracle.run(&problem));
    for way in [Way::Naive, Way::Twin] {
        let [wide, narrow] = [&problem, &narrow].map(|problem| way.run(problem));
        let rounded: Vec<_> = wide.out().iter().map(|&x| f64::from(DType::Bf16.round(x as f32))).collect();
        assert_eq!((narrow.out(), narrow.lse()), (&rounded[..], wide.lse()));
        assert_ne!(narrow.out(), wide.out());
    }
    let largest = Way::Oracle.run(&problem).out().iter().fold(0.0, |a: f64, x| x.abs().max(a));
    assert!(Way::Naive.limit(&narrow, Tensor::Out) > 2.0 * DType::Bf16.epsilon() * largest);
    assert!(Way::Naive.limit(&narrow, Tensor::Lse) < 1e-5 && Way::Naive.limit(&problem, Tensor::Out) < 1e-5);
}

#[test]
fn only_is_a_slice_of_all() {
    let spec = everything(masked(SHAPE).alibi(Slopes::Head));
    let all = Case::random(spec.clone(), 33);
    let some = all.as_spec(spec.clone().only(1..3, 2..5));
    for way in [Way::Oracle, Way::Naive] {
        let [all, some] = [&all, &some].map(|problem| way.run(problem));
        assert_eq!((some.out(), some.lse()), (all.out(), all.lse()));
        for (all, some) in [(all.weights(), some.weights()), (all.scores(), some.scores())] {
            let all = all.expect("it is asked for");
            let rows = (0..2).flat_map(|b| (1..3).flat_map(move |h| (2..5).map(move |i| (b * 4 + h) * 5 + i)));
            let slice: Vec<_> = rows.flat_map(|row| &all[row * 7..][..7]).copied().collect();
            assert_eq!(some, Some(&slice[..]));
        }
    }
}

#[test]
fn without_out_there_is_none() {
    let all = Case::random(everything(masked(SHAPE).sinks()), 34);
    let none = all.as_spec(all.spec.clone().without_out());
    for way in Way::ALL {
        let [expected, found] = [&all, &none].map(|problem| way.run(problem));
        assert!(found.out().is_empty());
        assert_eq!(
            (found.lse(), found.weights(), found.scores()),
            (expected.lse(), expected.weights(), expected.scores())
        );
    }
    assert!(row(&none.spec, &none.inputs(), 0, 0, 0).out.is_empty());
}
