//! How far the outputs of a kernel are from the exact ones, over inputs of every kind. examples/accuracy.rs prints it, and
//! tests/device/accuracy.rs holds it to the bound that docs/accuracy.md promises.

use wgpu_attention::{Algorithm, DType, Error, Gpu, Inputs, Shape, Spec, reference};

/// Query rows of each problem.
const ROWS: u32 = 8;

/// What inputs are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Queries and keys in -2..2.
    Random,
    /// Four times as large: a few keys get nearly all weight.
    Large,
    /// Keys that differ by a thousandth: all weights are nearly equal.
    NearlyEqual,
    /// All scores lie near one large number.
    CommonOffset,
    /// Products that cancel in pairs, and values that cancel in the sum.
    Cancelling,
    /// Values around the smallest normal number, products below it; in f16 queries and keys too.
    Subnormal,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Random, Self::Large, Self::NearlyEqual, Self::CommonOffset, Self::Cancelling, Self::Subnormal];

    /// Elements of q, k and v: `at` counts rows, `d` elements of one.
    fn element(self, dtype: DType, tensor: usize, at: usize, d: usize, rng: &mut fastrand::Rng) -> f32 {
        let random = 2.0 * rng.f32() - 1.0;
        let (q, v) = (tensor == 0, tensor == 2);
        match self {
            Self::Subnormal if dtype == DType::F16 => random * 1e-5,
            Self::Subnormal => random * if v { 1e-37 } else { 1e-20 },
            Self::Cancelling if v => random.mul_add(0.01, 1.0) * if at.is_multiple_of(2) { 1.0 } else { -1.0 },
            _ if v => random,
            Self::Random => 2.0 * random,
            Self::Large => 8.0 * random,
            Self::NearlyEqual if q => random,
            Self::NearlyEqual => random.mul_add(1e-3, 1.0),
            Self::CommonOffset if d == 0 => 50.0,
            Self::CommonOffset => random,
            Self::Cancelling if q => 8.0,
            Self::Cancelling => 8.0 * if d.is_multiple_of(2) { 1.0 } else { -1.0 } + random * 0.1,
        }
    }
}

/// A problem whose outputs are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) algorithm: Algorithm,
    /// Of q, k and v. The output is f32, so that no rounding hides an error; `matrix` has 16-bit outputs alone.
    pub(crate) dtype: DType,
    pub(crate) head_dim: u32,
    pub(crate) kv_len: u32,
}

/// The errors of all elements of an output, in units of the bound.
pub(crate) struct Errors(Vec<f64>);

impl Errors {
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0.sort_unstable_by(f64::total_cmp);
        self
    }

    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn largest(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }

    pub(crate) fn typical(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Half the distance from 1 to the next number of what a kernel computes with.
pub(crate) fn roundoff(algorithm: Algorithm) -> f64 {
    let dtype = if algorithm == Algorithm::Matrix { DType::F16 } else { DType::F32 };
    dtype.epsilon() / 2.0
}

/// An error is at most so many units `u (1 + S) max |v|`, where S is the largest sum of |scale q k| of a pair. Rounding to a 16-bit output
/// comes on top. docs/accuracy.md has what was measured.
pub(crate) const fn promised(algorithm: Algorithm) -> f64 {
    match algorithm {
        Algorithm::Matrix => 2.0,
        _ => 4.0,
    }
}

impl Setting {
    fn spec(&self) -> Spec {
        let (head_dim, kv_len) = (self.head_dim, self.kv_len);
        let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: ROWS, kv_len, head_dim, value_dim: head_dim };
        Spec::new(shape).q_type(self.dtype).kv_type(self.dtype).out_type(self.out_type())
    }

    fn out_type(&self) -> DType {
        if self.algorithm == Algorithm::Matrix { DType::F16 } else { DType::F32 }
    }

    /// How far rounding to the type of the output may move a number.
    fn rounding(&self, x: f64) -> f64 {
        match self.out_type() {
            DType::F16 => (DType::F16.epsilon() / 2.0 * x.abs()).max(2f64.powi(-25)),
            _ => 0.0,
        }
    }

    /// The errors on inputs of a kind; `None` where the kernel cannot compute this here.
    pub(crate) fn errors(&self, gpu: &Gpu, kind: Kind) -> Result<Option<Errors>, Error> {
        let mut rng = fastrand::Rng::with_seed(kind as u64);
        let mut tensor = |n: usize, rows: u32| -> Vec<f32> {
            let places = (0..rows as usize).flat_map(|at| (0..self.head_dim as usize).map(move |d| (at, d)));
            places.map(|(at, d)| self.dtype.round(kind.element(self.dtype, n, at, d, &mut rng))).collect()
        };
        let (q, k, v) = (tensor(0, ROWS), tensor(1, self.kv_len), tensor(2, self.kv_len));
        let (spec, inputs) = (self.spec(), Inputs::new(&q, &k, &v));
        let outputs = match gpu.run_with(self.algorithm, &spec, &inputs) {
            Err(Error::Kernel { .. }) => return Ok(None),
            outputs => outputs?,
        };
        let exact = reference::attention(&spec, &inputs);
        let largest = v.iter().fold(0.0, |most, x| f64::from(x.abs()).max(most));
        let scale = 1.0 / f64::from(self.head_dim).sqrt();
        let rows = self.head_dim as usize;
        let sizes = q.chunks(rows).map(|q| scale * k.chunks(rows).map(|k| size(q, k)).fold(0.0, f64::max));
        let units = sizes.flat_map(|size| std::iter::repeat_n(roundoff(self.algorithm) * (1.0 + size) * largest, rows));
        let flushed = if kind == Kind::Subnormal { smallest(self.dtype) } else { 0.0 };
        let errors = outputs.out().iter().zip(exact.out()).zip(units).map(|((&out, &exact), unit)| {
            ((f64::from(out) - exact).abs() - flushed - self.rounding(exact)).max(0.0) / unit
        });
        Ok(Some(Errors::none().join(Errors(errors.collect()))))
    }
}

/// The sum of |q k| of a pair.
fn size(q: &[f32], k: &[f32]) -> f64 {
    q.iter().zip(k).map(|(q, k)| f64::from((q * k).abs())).sum()
}

/// The smallest normal number: below it drivers may flush to 0.
fn smallest(dtype: DType) -> f64 {
    if dtype == DType::F16 { 2f64.powi(-14) } else { f64::from(f32::MIN_POSITIVE) }
}
