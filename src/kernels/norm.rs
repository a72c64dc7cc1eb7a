//! Norm: normalises rows. Shader `shaders/norm.wgsl`, oracle [`reference::norm`](crate::reference::norm).

use super::{Shader, Workgroup};
use crate::{
    caps::Caps,
    error::Error,
    norm::{Norm as Problem, NormKind},
    params::Params,
    shader::{Access, GAIN, NO_GAIN, PARAMS, Text},
    tensor::Tensor,
};

/// Invocations that share a row.
const INVOCATIONS: u32 = 64;

/// A norm kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Norm {
    dim: u32,
    kind: NormKind,
    x: Access,
    residual: Option<Access>,
    gain: Option<Access>,
    shift: Option<Access>,
    out: Access,
    shared_buffer: bool,
}

impl Norm {
    /// Its name.
    pub const NAME: &'static str = "norm";

    /// The kernel for a normalisation, or why there is none.
    pub fn new(problem: &Problem, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        if INVOCATIONS > caps.invocations {
            let because = format!("it needs {INVOCATIONS} invocations, the device has {}", caps.invocations);
            return Err(Error::Kernel { kernel: Self::NAME, because });
        }
        let access = |tensor| problem.view(tensor).map(|view| Access::of(&view, caps.f16));
        let (Some(x), Some(out)) = (access(Tensor::X), access(Tensor::Out)) else {
            return Err(Error::NoOutput); // every normalisation has both
        };
        Ok(Self {
            dim: problem.sizes()[1],
            kind: problem.kind,
            x,
            residual: access(Tensor::Residual),
            gain: access(Tensor::Gain),
            shift: access(Tensor::Shift),
            out,
            shared_buffer: problem.shared_buffer,
        })
    }

    /// Parameters with the ends of its loops.
    pub(super) fn loops(&self, params: Params) -> Params {
        Params { head_vec4s: self.dim.div_ceil(4), ..params }
    }
}

impl Shader for Norm {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/norm.wgsl");
        let text = Text::new(self.shared_buffer).constant("VALUE_DIM", self.dim);
        let text = text.flag("CENTRED", self.kind == NormKind::Layer).flag("UNIT", self.kind == NormKind::Unit);
        let text = text.load("x", 30, self.x, "VALUE_DIM").store_out(self.out);
        let text = text.join_shift(self.shift).join_residual(self.residual);
        let text = match self.gain {
            Some(gain) => text.load("gain", 34, gain, "VALUE_DIM").join(&[GAIN]),
            None => text.join(&[NO_GAIN]),
        };
        text.join(&[PARAMS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { invocations: INVOCATIONS, bytes: 4 * INVOCATIONS, rows: 1, keys: 0, grouped: false }
    }

    fn loads(&self) -> String {
        format!("x {}; out {}", self.x.words(), self.out.words())
    }
}
