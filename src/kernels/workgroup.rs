//! What a kernel tells of itself.

use crate::shader::{access::Access, params::Params, source::Source};

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
pub(crate) const ONE_EACH: Workgroup = Workgroup { invocations: 64, bytes: 0, rows: 0, keys: 0, grouped: false };

/// What a kernel tells of itself.
pub trait Shader {
    /// Its name, which is its file's.
    fn name(&self) -> &'static str;

    /// Its whole text, and what that declares.
    fn source(&self) -> Source;

    /// What it needs of a device beyond WebGPU's core.
    fn needs(&self) -> Needs;

    /// Parameters with the ends of its loops, where it has loops that drivers shall not unroll.
    fn loops(&self, params: Params) -> Params {
        params
    }

    /// What one workgroup takes.
    fn workgroup(&self) -> Workgroup;

    /// How it reads and writes tensors, in words.
    fn loads(&self) -> String;
}

/// What a kernel needs of a device beyond WebGPU's core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs {
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// Subgroup operations.
    pub subgroups: bool,
    /// Cooperative matrices.
    pub matrices: bool,
    /// Bounds checks of every index and every loop, since its text is not only this crate's own.
    pub checks: bool,
}

impl Needs {
    /// What a kernel needs that reads and writes tensors so.
    pub(crate) fn of(accesses: impl IntoIterator<Item = Access>) -> Self {
        Self { f16: accesses.into_iter().any(Access::needs_f16), ..Self::default() }
    }
}
