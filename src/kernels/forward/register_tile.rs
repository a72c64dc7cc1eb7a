//! The register tile of the kernels that go through queries and keys. Shaders `tile*.wgsl`.

use crate::{
    caps::Caps,
    error::Error,
    kernels::{lanes::Lanes, workgroup::Workgroup},
    problem::attention::spec::Spec,
    shader::{params::Params, text::Text},
};

/// Which workgroup arrays a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arrays {
    /// `q_tile`, and keys in `kv_tile`.
    pub(crate) scores: bool,
    /// `weight_tile`, and values in `kv_tile`.
    pub(crate) values: bool,
    /// Words for each row and invocation along it: `row_tile`.
    pub(crate) rows: bool,
}

/// Invocations and registers of one workgroup: `tx * ty` invocations hold `rm` rows x `rn` keys of scores each.
///
/// The head dimension goes by in slices of `ds` vec4 and values in chunks of `4 * vk` keys, so that head_dim costs no
/// workgroup memory. `rm * ceil(value_dim / 4 / tx) <= 16` vec4 of output and `rm * rn <= 16` scores per invocation: past that
/// the compilers of mobile GPUs spill registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RegisterTile {
    tx: u32,
    ty: u32,
    rm: u32,
    rn: u32,
    ds: u32,
    vk: u32,
    /// 1 where there are no values.
    value_dim: u32,
    arrays: Arrays,
    /// Bytes of single variables that all invocations share.
    shared: u32,
}

impl RegisterTile {
    /// The largest tile with which the device can compute the problem, or what the smallest lacks. The same for every kernel
    /// of a problem, so that what one says of a tile holds for another.
    pub(crate) fn choose(kernel: &'static str, spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let value_dim = if spec.out { spec.shape().value_dim } else { 1 };
        let arrays = Arrays { scores: true, values: spec.out, rows: true };
        let tile = |[tx, ty, rm, rn, ds, vk]: [u32; 6]| Self { tx, ty, rm, rn, ds, vk, value_dim, arrays, shared: 64 };
        let candidates = sizes(value_dim).map(tile);
        let fits = |tile: &Self| {
            let Workgroup { invocations, bytes, .. } = tile.workgroup();
            invocations <= caps.invocations && bytes <= caps.workgroup_bytes
        };
        candidates.into_iter().find(fits).ok_or_else(|| {
            let Workgroup { invocations, bytes, .. } = candidates[1].workgroup();
            let because = if invocations > caps.invocations {
                format!("it needs {invocations} invocations, the device has {}", caps.invocations)
            } else {
                format!("it needs {bytes} bytes of workgroup memory, the device has {}", caps.workgroup_bytes)
            };
            Error::Kernel { kernel, because }
        })
    }

    /// The same tile in a kernel with these arrays and `shared` bytes of single variables.
    pub(crate) const fn with(self, arrays: Arrays, shared: u32) -> Self {
        let value_dim = if arrays.values { self.value_dim } else { 1 };
        Self { arrays, shared, value_dim, ..self }
    }

    pub(crate) const fn rows(&self) -> u32 {
        self.ty * self.rm
    }

    pub(crate) const fn keys(&self) -> u32 {
        self.tx * self.rn
    }

    pub(crate) fn workgroup(&self) -> Workgroup {
        let (rows, keys) = (self.rows(), self.keys());
        let scores = if self.arrays.scores { rows * (self.ds + 1) } else { 0 };
        let weights = if self.arrays.values { rows * (keys / 4 + 1) } else { 0 };
        let row_tile = if self.arrays.rows { rows * self.tx } else { 0 };
        let bytes = 16 * (self.kv_tile() + scores + weights) + 4 * row_tile + self.shared;
        Workgroup { invocations: self.tx * self.ty, bytes, rows, keys, grouped: false }
    }

    /// vec4 of `kv_tile`: a slice of the keys or a chunk of the values, whichever is larger.
    fn kv_tile(&self) -> u32 {
        let value_row = self.value_dim.div_ceil(4).next_multiple_of(self.tx);
        let keys = if self.arrays.scores { self.tx * self.rn * (self.ds + 1) } else { 0 };
        let values = if self.arrays.values { 4 * self.vk * value_row } else { 0 };
        keys.max(values)
    }

    /// Parameters with the ends of its loops.
    pub(crate) fn loops(&self, head_dim: u32, params: Params) -> Params {
        Params {
            head_vec4s: head_dim.div_ceil(4),
            slice_vec4s: self.ds,
            key_vec4s: self.keys() / 4,
            chunk_vec4s: self.vk,
            ..params
        }
    }

    pub(crate) const fn lanes(&self) -> Lanes {
        Lanes { tx: self.tx, ty: self.ty, rm: self.rm, rn: self.rn }
    }

    pub(crate) fn constants(&self, text: Text) -> Text {
        text.constant("DS", self.ds).constant("VK", self.vk).constant("KV_TILE", self.kv_tile())
    }
}

/// `[tx, ty, rm, rn, ds, vk]` for a value dimension: for 32 KiB of workgroup memory, and for 16.
const fn sizes(value_dim: u32) -> [[u32; 6]; 2] {
    match value_dim.div_ceil(4) {
        ..=16 => [[8, 8, 4, 4, 16, 8], [8, 8, 4, 4, 8, 4]],
        17..=32 => [[8, 8, 4, 4, 16, 4], [8, 8, 4, 4, 8, 2]],
        33..=64 => [[16, 16, 4, 4, 4, 1], [16, 8, 2, 4, 4, 2]],
        _ => [[16, 8, 2, 4, 8, 2], [16, 8, 2, 4, 4, 1]],
    }
}
