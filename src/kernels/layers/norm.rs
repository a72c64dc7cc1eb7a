//! Norm: normalises rows. Shader `shaders/layers/norm.wgsl`, oracle [`reference::norm`](crate::reference::norm).

use crate::{
    caps::Caps,
    error::Error,
    kernels::workgroup::{Needs, Shader, Workgroup},
    problem::norm::{Norm, NormKind},
    shader::{access::Access, params::Params, parts, source::Source, text::Text},
    tensor::Tensor,
};

/// Invocations that share a row.
const INVOCATIONS: u32 = 64;

/// A norm kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormKernel {
    dim: u32,
    kind: NormKind,
    x: Access,
    residual: Option<Access>,
    weight: Option<Access>,
    bias: Option<Access>,
    out: Access,
    shared_buffer: bool,
}

impl NormKernel {
    /// Its name.
    pub const NAME: &'static str = "norm";

    /// The kernel for a normalisation, or why there is none.
    pub fn new(problem: &Norm, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        if INVOCATIONS > caps.invocations {
            let because = format!("it needs {INVOCATIONS} invocations, the device has {}", caps.invocations);
            return Err(Error::Kernel { kernel: Self::NAME, because });
        }
        let access = |view| Access::of(&view, caps.f16);
        let [x, out] = [problem.x_view(), problem.out_view()].map(access);
        Ok(Self {
            dim: problem.sizes()[1],
            kind: problem.kind,
            x,
            residual: problem.view(Tensor::Residual).map(access),
            weight: problem.view(Tensor::NormWeight).map(access),
            bias: problem.view(Tensor::LayerBias).map(access),
            out,
            shared_buffer: problem.shared_buffer,
        })
    }
}

impl Shader for NormKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/layers/norm.wgsl");
        let text = Text::new(self.shared_buffer).constant("VALUE_DIM", self.dim);
        let text = text.flag("CENTRED", self.kind == NormKind::Layer).flag("UNIT", self.kind == NormKind::Unit);
        let text = text.load(Tensor::X, self.x, "VALUE_DIM").store_out(self.out);
        let text = text.join_layer_bias(self.bias).join_residual(self.residual);
        let text = match self.weight {
            Some(weight) => text.load(Tensor::NormWeight, weight, "VALUE_DIM").join(&[parts::NORM_WEIGHT]),
            None => text.join(&[parts::NO_NORM_WEIGHT]),
        };
        text.join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::of([self.x, self.out].into_iter().chain(self.residual))
    }

    fn loops(&self, params: Params) -> Params {
        Params { head_vec4s: self.dim.div_ceil(4), ..params }
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { invocations: INVOCATIONS, bytes: 4 * INVOCATIONS, rows: 1, keys: 0, grouped: false }
    }

    fn loads(&self) -> String {
        format!("x {}; out {}", self.x.words(), self.out.words())
    }
}
