//! The ways to compute attention, and which to take.

use std::{fmt, str::FromStr};

use super::{Decode, Kernel, Matrix, Row, Tile};
use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    spec::Spec,
};

/// A way to compute attention: a kernel that makes one pass over the keys, with memory proportional to the lengths, not to
/// their product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Tiles in workgroup memory: what most GPUs do best.
    Tile,
    /// Whole query rows in registers: what CPUs do best. head_dim and value_dim up to 128, on GPUs
    /// up to 64.
    Row,
    /// Few query rows against many keys.
    Decode,
    /// Cooperative matrices, where the caller has asked for them: q, k and v in f16, out in f16 or bf16, head_dim and value_dim
    /// up to 128. Weights are rounded to f16.
    Matrix,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tile, Self::Row, Self::Decode, Self::Matrix];

    /// Its name, which is its kernel's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tile => Tile::NAME,
            Self::Row => Row::NAME,
            Self::Decode => Decode::NAME,
            Self::Matrix => Matrix::NAME,
        }
    }

    /// Its kernel for `spec`, or why it cannot compute that.
    pub(super) fn kernel(self, spec: &Spec, caps: &Caps) -> Result<Kernel, Error> {
        Ok(match self {
            Self::Tile => Kernel::Tile(Tile::new(spec, caps)?),
            Self::Row => Kernel::Row(Row::new(spec, caps)?),
            Self::Decode => Kernel::Decode(Decode::new(spec, caps)?),
            Self::Matrix => Kernel::Matrix(Matrix::new(spec, caps)?),
        })
    }

    /// Those that can compute `spec` on a device, the likely fastest first; or why there is none.
    pub fn candidates(spec: &Spec, caps: &Caps) -> Result<Vec<Self>, Error> {
        let mut fit = Vec::new();
        for algorithm in preference(spec, caps).0 {
            match algorithm.kernel(spec, caps) {
                Ok(_) => fit.push(algorithm),
                Err(Error::Kernel { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if fit.is_empty() { Self::Tile.kernel(spec, caps).map(|_| fit) } else { Ok(fit) }
    }
}

/// The order in which to try, and why the first comes first.
fn preference(spec: &Spec, caps: &Caps) -> ([Algorithm; 4], &'static str) {
    use Algorithm::{Decode, Matrix, Row, Tile};
    let rows = spec.shape().q_len.saturating_mul(spec.heads_sharing());
    if caps.kind == DeviceKind::Cpu {
        ([Row, Tile, Decode, Matrix], "on a CPU, rows in registers beat tiles in memory")
    } else if rows <= 16 && spec.sequences.is_none() && spec.shape().kv_len >= 128 {
        ([Decode, Tile, Row, Matrix], "few queries against many keys: memory sets the pace")
    } else if Matrix.kernel(spec, caps).is_ok() {
        ([Matrix, Tile, Row, Decode], "the device has matrices, and q, k and v are what they multiply")
    } else {
        ([Tile, Row, Decode, Matrix], "on a GPU, tiles in workgroup memory read keys and values least often")
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| format!("no algorithm {name:?}; there are: {}", known()))
    }
}

/// Who chose the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Nobody: the device and the problem suggest it.
    Suggested,
    /// [`Autotune`](crate::Autotune) measured it.
    Measured(Algorithm),
    /// The caller.
    Asked(Algorithm),
}

impl Choice {
    /// The algorithm, its kernel, and why this one.
    pub(super) fn kernel(self, spec: &Spec, caps: &Caps) -> Result<(Algorithm, Kernel, &'static str), Error> {
        let (algorithm, because) = match self {
            Self::Asked(algorithm) => (algorithm, "the caller asked for it"),
            // What was measured for a class need not fit every problem and every set of limits in it.
            Self::Measured(algorithm) if algorithm.kernel(spec, caps).is_ok() => {
                (algorithm, "measured as the fastest on this device")
            }
            Self::Suggested | Self::Measured(_) => {
                let (order, because) = preference(spec, caps);
                let first = Algorithm::candidates(spec, caps)?.first().copied().unwrap_or(Algorithm::Tile);
                (first, if first == order[0] { because } else { "the kernel that suits better cannot compute this" })
            }
        };
        Ok((algorithm, algorithm.kernel(spec, caps)?, because))
    }
}
