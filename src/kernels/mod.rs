//! The kernels: when each can run, its text and its workgroup. A kernel value is the proof that it can run.
//!
//! One kernel is one entry point, `shaders/NAME.wgsl` joined behind a preamble of constants. An [`Algorithm`] is the list of
//! kernels that computes a problem, and [`Program`] is that list with its dispatches.

mod aggregate;
mod prefill;
mod program;
mod scores;
mod softmax;
mod tile;

pub use self::{
    aggregate::Aggregate,
    prefill::Prefill,
    program::{Algorithm, Program, Stage, Step},
    scores::Scores,
    softmax::Softmax,
};
use crate::{caps::Caps, error::Error, layout::Layout, shape::Shape, spec::Spec};

/// What one workgroup takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workgroup {
    /// Invocations.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub bytes: u32,
    /// Query rows.
    pub rows: u32,
    /// Keys of a tile; 0 for a kernel that has none.
    pub keys: u32,
}

/// What a kernel tells of itself.
pub trait Shader {
    /// Its name, which is its file's.
    fn name(&self) -> &'static str;

    /// Its whole text: WGSL, entry point `main`, bindings in group 0.
    fn source(&self) -> String;

    /// What one workgroup takes.
    fn workgroup(&self) -> Workgroup;

    /// Floating-point operations for one query and one key.
    fn flops_per_pair(&self, shape: &Shape) -> u64;

    /// How it reads and writes tensors, in words.
    fn loads(&self) -> &'static str;
}

/// A kernel that can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Attention in one pass.
    Prefill(Prefill),
    /// Scores into memory.
    Scores(Scores),
    /// Scores into weights.
    Softmax(Softmax),
    /// Weights times values.
    Aggregate(Aggregate),
}

impl Kernel {
    /// The names of all kernels.
    pub const NAMES: [&'static str; 4] = [Prefill::NAME, Scores::NAME, Softmax::NAME, Aggregate::NAME];

    /// What it tells of itself.
    #[must_use]
    pub fn shader(&self) -> &dyn Shader {
        match self {
            Self::Prefill(kernel) => kernel,
            Self::Scores(kernel) => kernel,
            Self::Softmax(kernel) => kernel,
            Self::Aggregate(kernel) => kernel,
        }
    }

    /// The kernel of this name for `spec`, or why there is none.
    pub fn named(name: &str, spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        match name {
            Prefill::NAME => Prefill::new(spec, caps).map(Self::Prefill),
            Scores::NAME => Scores::new(spec, caps).map(Self::Scores),
            Softmax::NAME => Softmax::new(spec, caps).map(Self::Softmax),
            Aggregate::NAME => Aggregate::new(spec, caps).map(Self::Aggregate),
            _ => Err(Error::NoKernel { name: name.into(), known: Self::NAMES.join(", ") }),
        }
    }

    /// Every kernel on the devices `caps`: each choice of parts at dimensions on both sides of each edge. For tests.
    #[must_use]
    pub fn all(caps: &[Caps]) -> Vec<Self> {
        const DIMS: [(u32, u32); 14] = [
            (1, 1),
            (5, 5),
            (40, 40),
            (64, 64),
            (80, 80),
            (128, 128),
            (256, 256),
            (512, 512),
            (64, 40),
            (40, 5),
            (5, 64),
            (512, 68),
            (96, 132),
            (64, 260),
        ];
        let mut kernels = Vec::new();
        for (head_dim, value_dim) in DIMS {
            let shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 33, kv_len: 300, head_dim, value_dim };
            let spec = Spec::new(shape);
            let odd = |rows, dim: u32| Layout { offset: 1, batch: 0, head: u64::from(rows * dim), row: dim.into() };
            let scalar = spec.clone().q_layout(odd(33, head_dim)).out_layout(odd(33, value_dim));
            for spec in [spec.clone(), spec.lse(), scalar] {
                for spec in [spec.clone(), spec.shared_buffer()] {
                    let fits = caps.iter().flat_map(|caps| {
                        Self::NAMES
                            .into_iter()
                            .filter_map(|name| Self::named(name, &spec, caps).ok())
                            .collect::<Vec<_>>()
                    });
                    kernels.extend(fits);
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        kernels.retain(|kernel| seen.insert(*kernel));
        kernels
    }
}
