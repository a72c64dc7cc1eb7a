//! The three ways to compute a problem on the CPU, and the shape of most problems here.

use wgpu_attention::{
    Align, Mask, Outputs, Shape, Spec, Tensor,
    reference::{Tiles, attention, naive, tiled, tolerances},
};

use crate::case::Case;

/// Two query heads to a key head, and no size that another has.
pub(crate) const SHAPE: Shape =
    Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 5, kv_len: 7, head_dim: 6, value_dim: 3 };

/// A mask that hides something from every row of `SHAPE` and everything from the first.
pub(crate) fn masked(shape: Shape) -> Spec {
    Spec::new(shape).mask(Mask::causal().and(Mask::window(Some(3), None))).align(Align::At(-1))
}

/// Whether the mask of a case lets query `i` see key `j`.
pub(crate) fn sees(case: &Case, i: usize, j: usize) -> bool {
    case.spec.band().keys(i as u32, case.spec.shape().kv_len).contains(&(j as u32))
}

/// A way to compute attention on the CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Oracle,
    Naive,
    Twin,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Oracle, Self::Naive, Self::Twin];

    pub(crate) fn run(self, case: &Case) -> Outputs<f64> {
        let (spec, inputs) = (&case.spec, &case.inputs());
        match self {
            Self::Oracle => attention(spec, inputs),
            Self::Naive => widened(naive(spec, inputs)),
            Self::Twin => widened(tiled(spec, inputs, Tiles { rows: 2, keys: 4 })),
        }
    }

    /// How far this way may be from the truth: what the harness allows, and f64 rounding for the oracle.
    pub(crate) fn limit(self, case: &Case, tensor: Tensor) -> f64 {
        let (spec, inputs) = (&case.spec, &case.inputs());
        let oracle = attention(spec, inputs);
        let Some(exact) = oracle.get(tensor) else { return 0.0 };
        let tolerances = tolerances(spec, inputs, &oracle);
        let tolerance = tolerances.iter().find(|(of, _)| *of == tensor).map(|(_, tolerance)| tolerance.limit());
        match self {
            Self::Oracle => 1e-13 * exact.iter().filter(|x| x.is_finite()).fold(1.0, |a, x| x.abs().max(a)),
            Self::Naive | Self::Twin => tolerance.expect("every output has one"),
        }
    }
}

fn widened(outputs: Outputs<f32>) -> Outputs<f64> {
    let wide = |data: &[f32]| data.iter().copied().map(f64::from).collect();
    let mut widened = Outputs::default();
    for tensor in Tensor::ALL {
        outputs.get(tensor).into_iter().for_each(|data| widened.set(tensor, wide(data)));
    }
    widened
}

/// Panics unless each pair is equal or at most `limit` apart.
#[track_caller]
pub(crate) fn near(what: &str, actual: &[f64], expected: &[f64], limit: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!(a == e || (a - e).abs() <= limit, "{what}[{i}] is {a:?}, not {e:?} +- {limit:e}");
    }
}

#[test]
fn near_can_fail() {
    let fails = |a: f64, e: f64| std::panic::catch_unwind(|| near("x", &[a], &[e], 0.5)).is_err();
    assert!(fails(1.0, 2.0) && fails(f64::NAN, 1.0) && fails(f64::NEG_INFINITY, 0.0) && fails(0.0, f64::NEG_INFINITY));
    assert!(!fails(1.0, 1.4) && !fails(f64::NEG_INFINITY, f64::NEG_INFINITY));
    assert!(std::panic::catch_unwind(|| near("x", &[], &[1.0], 0.5)).is_err());
}
