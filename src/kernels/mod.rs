//! The kernels: when each can run, its text and its workgroup. A kernel value is the proof that it can run.
//!
//! One kernel is one entry point, `shaders/NAME.wgsl` joined behind a preamble of constants. A [`Program`] is the kernels that
//! compute a problem, what they bind, and their dispatches.

mod algorithm;
mod attention;
mod classify;
mod clear;
mod decode;
mod diverge;
mod elementwise;
mod embed;
mod forward;
mod layers;
mod linear;
mod locate;
mod look;
mod matrix;
mod measure;
mod merge;
mod norm;
mod pack;
mod pool;
mod program;
mod receive;
mod region;
mod register_tile;
mod rotary;
mod row;
mod scores;
mod scoring;
mod second;
mod tile;
mod top;
mod variants;
mod workspace;

pub use self::{
    algorithm::{Algorithm, Choice},
    classify::Classify,
    clear::Clear,
    decode::Decode,
    diverge::Diverge,
    embed::Embed,
    linear::Linear,
    locate::Locate,
    matrix::Matrix,
    measure::Measure,
    merge::Merge,
    norm::Norm,
    pack::Pack,
    pool::Pool,
    program::{Group, Program, Step, Window},
    receive::Receive,
    rotary::Rotary,
    row::Row,
    scores::Scores,
    tile::Tile,
    top::Top,
};

use crate::{params::Params, view::View};

/// What one workgroup takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Workgroup {
    /// Invocations.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub bytes: u32,
    /// Query rows of a tile; 0 for a kernel that has none.
    pub rows: u32,
    /// Keys of a tile; 0 for a kernel that has none.
    pub keys: u32,
    /// Whether the rows are of all heads that share keys, and not of one.
    pub grouped: bool,
}

impl Workgroup {
    /// Work items of one workgroup: a tile, or one for each invocation.
    #[must_use]
    pub const fn items(&self) -> u32 {
        if self.rows > 0 { 1 } else { self.invocations }
    }
}

/// The workgroup of kernels without tiles: each invocation has a work item of its own.
const LINEAR: Workgroup = Workgroup { invocations: 64, bytes: 0, rows: 0, keys: 0, grouped: false };

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
    /// Attention by tiles in workgroup memory.
    Tile(Tile),
    /// Attention by rows in registers.
    Row(Row),
    /// Attention of few rows.
    Decode(Decode),
    /// Attention by cooperative matrices.
    Matrix(Matrix),
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
    /// What measures add to.
    Clear(Clear),
    /// Measures of rows.
    Measure(Measure),
    /// What keys get.
    Receive(Receive),
    /// Weights into the cells of a map.
    Pool(Pool),
    /// The largest weights.
    Top(Top),
    /// Two attentions compared.
    Diverge(Diverge),
    /// A linear layer.
    Linear(Linear),
    /// Rows normalised.
    Norm(Norm),
    /// Rows of a table.
    Embed(Embed),
    /// Keys with what filters find.
    Locate(Locate),
}

impl Kernel {
    /// The names of all kernels.
    pub const NAMES: [&'static str; 19] = [
        Tile::NAME,
        Row::NAME,
        Decode::NAME,
        Matrix::NAME,
        Scores::NAME,
        Classify::NAME,
        Merge::NAME,
        Rotary::NAME,
        Pack::NAME,
        Clear::NAME,
        Measure::NAME,
        Receive::NAME,
        Pool::NAME,
        Top::NAME,
        Diverge::NAME,
        Linear::NAME,
        Norm::NAME,
        Embed::NAME,
        Locate::NAME,
    ];

    /// What it tells of itself.
    #[must_use]
    pub fn shader(&self) -> &dyn Shader {
        match self {
            Self::Tile(kernel) => kernel,
            Self::Row(kernel) => kernel,
            Self::Decode(kernel) => kernel,
            Self::Matrix(kernel) => kernel,
            Self::Scores(kernel) => kernel,
            Self::Classify(kernel) => kernel,
            Self::Merge(kernel) => kernel,
            Self::Rotary(kernel) => kernel,
            Self::Pack(kernel) => kernel,
            Self::Clear(kernel) => kernel,
            Self::Measure(kernel) => kernel,
            Self::Receive(kernel) => kernel,
            Self::Pool(kernel) => kernel,
            Self::Top(kernel) => kernel,
            Self::Diverge(kernel) => kernel,
            Self::Linear(kernel) => kernel,
            Self::Norm(kernel) => kernel,
            Self::Embed(kernel) => kernel,
            Self::Locate(kernel) => kernel,
        }
    }

    /// A forward kernel over some of the keys, which leaves its part in this view; others as they are.
    fn partial(self, out: &View) -> Self {
        match self {
            Self::Tile(kernel) => Self::Tile(kernel.partial(out)),
            Self::Row(kernel) => Self::Row(kernel.partial(out)),
            Self::Decode(kernel) => Self::Decode(kernel.partial(out)),
            Self::Matrix(kernel) => Self::Matrix(kernel.partial(out)),
            other => other,
        }
    }

    /// Parameters with the ends of its loops.
    fn with_loops(&self, params: Params) -> Params {
        match self {
            Self::Tile(kernel) => kernel.loops(params),
            Self::Scores(kernel) => kernel.loops(params),
            Self::Measure(kernel) => kernel.loops(params),
            Self::Receive(kernel) => kernel.loops(params),
            Self::Pool(kernel) => kernel.loops(params),
            _ => params,
        }
    }

    /// What it needs of a device beyond WebGPU's core.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let source = self.shader().source();
        Needs {
            f16: source.starts_with("enable f16;"),
            subgroups: source.contains("@builtin(subgroup_"),
            matrices: source.contains("enable wgpu_cooperative_matrix;"),
        }
    }
}

/// Features of a device that a kernel needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs {
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// Subgroup operations.
    pub subgroups: bool,
    /// Cooperative matrices.
    pub matrices: bool,
}
