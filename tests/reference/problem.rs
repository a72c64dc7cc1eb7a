//! A problem with its numbers, and the three ways to compute it on the CPU.

use wgpu_attention::{
    Align, DType, Data, Inputs, Mask, Outputs, Shape, Spec, Tensor,
    reference::{Tiles, attention, naive, tiled, tolerances},
};

/// Two query heads to a key head, and no size that another has.
pub(crate) const SHAPE: Shape =
    Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 5, kv_len: 7, head_dim: 6, value_dim: 3 };

/// A mask that hides something from every row of `SHAPE` and everything from the first.
pub(crate) fn masked(shape: Shape) -> Spec {
    Spec::new(shape).mask(Mask::causal().and(Mask::window(Some(3), None))).align(Align::At(-1))
}

/// A spec and its inputs, in the layouts it says.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) spec: Spec,
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    /// The other inputs; the last of a tensor counts.
    pub(crate) more: Vec<(Tensor, Values)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Words(Vec<u32>),
    Bools(Vec<bool>),
}

impl Values {
    pub(crate) fn data(&self) -> Data<'_> {
        match self {
            Self::Floats(data) => Data::Floats(data),
            Self::Words(data) => Data::Words(data),
            Self::Bools(data) => Data::Bools(data),
        }
    }
}

impl Problem {
    /// Floats between -2 and 2, words from 0 to 7, two of three booleans true.
    pub(crate) fn new(spec: Spec, seed: u64) -> Self {
        let data = |tensor: Tensor| {
            let view = spec.view(tensor).expect("every problem has inputs");
            numbers(view.extent().expect("it is small") as usize, 3 * seed + tensor as u64)
        };
        let [q, k, v] = [Tensor::Q, Tensor::K, Tensor::V].map(data);
        let others = spec.views().filter(|view| view.is_input() && view.tensor as u64 > Tensor::V as u64);
        let values = |dtype: DType, data: Vec<f32>| match dtype {
            DType::U32 => Values::Words(data.iter().map(|x| (2.0 * x + 4.0) as u32).collect()),
            DType::Bool | DType::Bit => Values::Bools(data.iter().map(|&x| x < 0.7).collect()),
            _ => Values::Floats(data),
        };
        let more = others.map(|view| (view.tensor, values(view.dtype, data(view.tensor)))).collect();
        Self { spec, q, k, v, more }
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        let inputs = Inputs::new(&self.q, &self.k, &self.v);
        self.more.iter().fold(inputs, |inputs, (tensor, values)| inputs.set(*tensor, values.data()))
    }

    /// The same with other values.
    pub(crate) fn with(mut self, tensor: Tensor, values: Values) -> Self {
        self.more.push((tensor, values));
        self
    }

    pub(crate) fn with_floats(self, tensor: Tensor, data: impl Into<Vec<f32>>) -> Self {
        self.with(tensor, Values::Floats(data.into()))
    }

    pub(crate) fn with_words(self, tensor: Tensor, data: impl Into<Vec<u32>>) -> Self {
        self.with(tensor, Values::Words(data.into()))
    }

    pub(crate) fn floats(&self, tensor: Tensor) -> &[f32] {
        match self.more.iter().rev().find(|(of, _)| *of == tensor) {
            Some((_, Values::Floats(data))) => data,
            found => panic!("no floats: {found:?}"),
        }
    }

    /// Another spec on the same q, k and v.
    pub(crate) fn as_spec(&self, spec: Spec) -> Self {
        Self { spec, more: vec![], ..self.clone() }
    }

    /// Whether the mask lets query `i` see key `j`.
    pub(crate) fn sees(&self, i: usize, j: usize) -> bool {
        self.spec.band().keys(i as u32, self.spec.shape().kv_len).contains(&(j as u32))
    }
}

/// The generator of cases/README.md (splitmix64, 24 bits), times 2.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let number = |n: u64| {
        let z = seed.wrapping_add((n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        ((z >> 40) as f32 / (1 << 23) as f32 - 1.0) * 2.0
    };
    (0..count as u64).map(number).collect()
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

    pub(crate) fn run(self, problem: &Problem) -> Outputs<f64> {
        let (spec, inputs) = (&problem.spec, &problem.inputs());
        match self {
            Self::Oracle => attention(spec, inputs),
            Self::Naive => widened(naive(spec, inputs)),
            Self::Twin => widened(tiled(spec, inputs, Tiles { rows: 2, keys: 4 })),
        }
    }

    /// How far this way may be from the truth: what the harness allows, and f64 rounding for the oracle.
    pub(crate) fn limit(self, problem: &Problem, tensor: Tensor) -> f64 {
        let (spec, inputs) = (&problem.spec, &problem.inputs());
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
    let wide = |data: Vec<f32>| data.into_iter().map(f64::from).collect();
    let mut widened = Outputs::of(wide(outputs.out));
    widened.lse = outputs.lse.map(wide);
    widened.weights = outputs.weights.map(wide);
    widened.scores = outputs.scores.map(wide);
    widened.k = outputs.k.map(wide);
    widened.v = outputs.v.map(wide);
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
