//! The kernels: when each can run, its text and its workgroup. A kernel value is the proof that it can run.
//!
//! One kernel is one entry point, `shaders/NAME.wgsl` joined behind a preamble of constants. A [`Program`] is the kernels that
//! compute a problem, what they bind, and their dispatches.

mod attention;
mod classify;
mod linear;
mod merge;
mod pack;
mod prefill;
mod program;
mod region;
mod rotary;
mod scores;
mod scoring;
mod tile;
mod variants;
mod workspace;

pub use self::{
    classify::Classify,
    merge::Merge,
    pack::Pack,
    prefill::Prefill,
    program::{Algorithm, Group, Program, Step, Window},
    rotary::Rotary,
    scores::Scores,
};

/// What one workgroup takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workgroup {
    /// Invocations.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub bytes: u32,
    /// Query rows of a tile; 0 for a kernel that has none.
    pub rows: u32,
    /// Keys of a tile; 0 for a kernel that has none.
    pub keys: u32,
}

impl Workgroup {
    /// Work items of one workgroup: a tile, or one for each invocation.
    #[must_use]
    pub const fn items(&self) -> u32 {
        if self.rows > 0 { 1 } else { self.invocations }
    }
}

/// The workgroup of kernels without tiles: each invocation has a work item of its own.
const LINEAR: Workgroup = Workgroup { invocations: 64, bytes: 0, rows: 0, keys: 0 };

/// What a kernel tells of itself.
pub trait Shader {
    /// Its name, which is its file's.
    fn name(&self) -> &'static str;

    /// Its whole text: WGSL, entry point `main`, bindings in group 0.
    fn source(&self) -> String;

    /// What one workgroup takes.
    fn workgroup(&self) -> Workgroup;

    /// How it reads and writes tensors, in words.
    fn loads(&self) -> String;
}

/// A kernel that can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Attention in one pass.
    Prefill(Prefill),
    /// Scores or weights into memory.
    Scores(Scores),
    /// Which tiles masks empty.
    Classify(Classify),
    /// Partial results into the whole.
    Merge(Merge),
    /// Rows turned, or appended to a cache.
    Rotary(Rotary),
    /// A small input into the workspace.
    Pack(Pack),
}

impl Kernel {
    /// The names of all kernels.
    pub const NAMES: [&'static str; 6] =
        [Prefill::NAME, Scores::NAME, Classify::NAME, Merge::NAME, Rotary::NAME, Pack::NAME];

    /// What it tells of itself.
    #[must_use]
    pub fn shader(&self) -> &dyn Shader {
        match self {
            Self::Prefill(kernel) => kernel,
            Self::Scores(kernel) => kernel,
            Self::Classify(kernel) => kernel,
            Self::Merge(kernel) => kernel,
            Self::Rotary(kernel) => kernel,
            Self::Pack(kernel) => kernel,
        }
    }

    /// Whether it needs 16-bit floats in shaders.
    #[must_use]
    pub fn needs_f16(&self) -> bool {
        self.shader().source().starts_with("enable f16;")
    }
}
