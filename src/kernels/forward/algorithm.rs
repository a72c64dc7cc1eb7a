//! The ways to compute attention, and which to take.

use std::{fmt, str::FromStr};

use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    kernels::{
        forward::{decode::Decode, matrix::Matrix, row::Row, tile::Tile},
        workgroup::Shader,
    },
    problem::attention::spec::Spec,
    tensor::view::View,
};

/// Declares the algorithms from one list: a variant of [`Algorithm`] and one of [`Forward`] for each, whose kernel has its name.
macro_rules! algorithms {
    ($($(#[$doc:meta])* $Name:ident,)*) => {
        /// A way to compute attention: a kernel that makes one pass over the keys, with memory proportional to the lengths, not to
        /// their product.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Algorithm { $($(#[$doc])* $Name,)* }

        impl Algorithm {
            /// All of them.
            pub const ALL: [Self; [$($Name::NAME),*].len()] = [$(Self::$Name),*];

            /// Its name, which is its kernel's.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Name => $Name::NAME,)* }
            }

            /// Its kernel for `spec`, or why it cannot compute that.
            pub(crate) fn kernel(self, spec: &Spec, caps: &Caps) -> Result<Forward, Error> {
                Ok(match self { $(Self::$Name => Forward::$Name($Name::new(spec, caps)?),)* })
            }
        }

        /// The kernel of an algorithm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Forward { $($(#[$doc])* $Name($Name),)* }

        impl Forward {
            /// The same over some of the keys, for `merge` to put together: it leaves its part in this view.
            pub(crate) fn partial(self, out: &View) -> Self {
                match self { $(Self::$Name(kernel) => Self::$Name(kernel.partial(out)),)* }
            }

            /// What it tells of itself.
            #[must_use]
            pub fn shader(&self) -> &dyn Shader {
                match self { $(Self::$Name(kernel) => kernel,)* }
            }
        }
    };
}

algorithms! {
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
    /// Those that can compute `spec` on a device, the likely fastest first; or why there is none.
    pub fn candidates(spec: &Spec, caps: &Caps) -> Result<Vec<Self>, Error> {
        spec.check()?;
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
fn preference(spec: &Spec, caps: &Caps) -> ([Algorithm; Algorithm::ALL.len()], &'static str) {
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
    pub(crate) fn kernel(self, spec: &Spec, caps: &Caps) -> Result<(Algorithm, Forward, &'static str), Error> {
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
