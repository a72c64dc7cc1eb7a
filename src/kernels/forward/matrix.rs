//! Matrix: products by cooperative matrices, 16-bit floats in and 32-bit sums. Shader `shaders/forward/matrix.wgsl`.

use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    kernels::{
        forward::pass::ForwardPass,
        lanes::Lanes,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::source::Source,
    tensor::{dtype::DType, view::View},
};

/// Past this, the matrices of a row spill registers.
const MAX_DIM: u32 = 128;

/// Keys of a tile.
const KEYS: u32 = 32;

/// Invocations that share a row of scores.
const TX: u32 = 8;

/// A matrix kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matrix {
    pass: ForwardPass,
    /// Rows and columns of a matrix: 8 or 16.
    size: u32,
    /// Matrices of rows that a subgroup has.
    row_matrices: u32,
    /// Subgroups of a workgroup, and invocations of each.
    subgroups: [u32; 2],
}

impl Matrix {
    /// Its name.
    pub const NAME: &'static str = "matrix";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let refused = |because| Err(Error::Kernel { kernel: Self::NAME, because });
        let spec = &spec.turned_queries();
        let Some(size) = caps.matrix.filter(|_| caps.f16) else {
            return refused(
                "the device has no square cooperative matrices of 16-bit floats, or nobody asked for them".into(),
            );
        };
        let lanes = match caps.subgroups {
            Some([least, most]) if least == most && (8..=64).contains(&least) => least,
            Some([least, most]) => {
                return refused(format!(
                    "subgroups have {least} to {most} invocations, and it must know how many of 8 to 64"
                ));
            }
            None => return refused("the device has no subgroup operations".into()),
        };
        for (name, dtype) in [("q", spec.types.q), ("k and v", spec.types.kv)] {
            if dtype != DType::F16 {
                return refused(format!("it multiplies 16-bit floats, and {name} would be rounded from {dtype}"));
            }
        }
        if spec.additive {
            return refused("additive scores are sums of tanh, and no products of matrices".into());
        }
        if spec.out && spec.types.out == DType::F32 {
            return refused("its weights are 16-bit floats, which is less than out in f32 promises".into());
        }
        let shape = spec.shape();
        for (name, dim) in [("head_dim", shape.head_dim), ("value_dim", shape.value_dim)] {
            if dim > MAX_DIM {
                return refused(format!("{name} {dim} is above {MAX_DIM}, and a row must fit registers"));
            }
        }
        // Twice the rows halve the loads of keys and values, where registers allow.
        let row_matrices = if size == 16 && shape.value_dim <= 64 { 2 } else { 1 };
        // Software drivers compile for seconds what they unroll for many subgroups.
        let most = if caps.kind == DeviceKind::Cpu { 2 } else { 4 };
        let mut needs = String::new();
        for groups in [most, 2, 1] {
            let kernel = Self {
                pass: ForwardPass::new(spec, caps, groups * row_matrices * size)?,
                size,
                row_matrices,
                subgroups: [groups, lanes],
            };
            let Workgroup { invocations, bytes, .. } = kernel.workgroup();
            if invocations <= caps.invocations && bytes <= caps.workgroup_bytes {
                return Ok(kernel);
            }
            needs = format!(
                "it needs {invocations} invocations and {bytes} bytes of workgroup memory, the device has {} and {}",
                caps.invocations, caps.workgroup_bytes
            );
        }
        refused(needs)
    }

    pub(crate) fn partial(self, out: &View) -> Self {
        Self { pass: self.pass.partial(out), ..self }
    }

    /// Rows of a subgroup.
    const fn rows(&self) -> u32 {
        self.row_matrices * self.size
    }

    const fn lanes(&self) -> Lanes {
        let ty = self.subgroups[1] / TX;
        Lanes { tx: TX, ty, rm: self.rows() / ty, rn: KEYS / TX }
    }
}

impl Shader for Matrix {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/forward/matrix.wgsl");
        let [groups, lanes] = self.subgroups;
        let text = self.pass.text(self.workgroup(), self.lanes()).constant("T", self.size);
        let text = text.constant("RT", self.row_matrices).constant("GROUPS", groups).constant("SIZE", lanes);
        text.matrices(self.size).join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs { f16: true, subgroups: true, matrices: true, checks: false }
    }

    fn workgroup(&self) -> Workgroup {
        let [groups, lanes] = self.subgroups;
        let rows = groups * self.rows();
        let padded = |dim: u32| dim.next_multiple_of(self.size);
        let halves =
            rows * (KEYS + 8) + KEYS * (padded(self.pass.head_dim()) + 8) + padded(self.pass.value_dim()) * (KEYS + 8);
        let words = rows * (KEYS + 4) + rows + groups;
        let bytes = 2 * halves + 4 * words + self.pass.scoring.shared_bytes();
        let grouped = self.pass.scoring.is_grouped();
        Workgroup { invocations: groups * lanes, bytes, rows, keys: KEYS, grouped }
    }

    fn loads(&self) -> String {
        format!("{}; {} x {} matrices", self.pass.loads(), self.size, self.size)
    }
}
