//! Diverge: how far the weights of two attentions are apart, row by row. Shader `shaders/weights/diverge.wgsl`, oracle
//! [`reference::divergence`](crate::reference::divergence).

use crate::{
    error::Error,
    kernels::workgroup::{Needs, Shader, Workgroup},
    problem::divergence::Divergence,
    shader::{
        parts,
        source::Source,
        text::{Text, Use},
    },
    tensor::Tensor,
};

/// A diverge kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Diverge {
    shared_buffer: bool,
}

impl Diverge {
    /// Its name.
    pub const NAME: &'static str = "diverge";

    /// The kernel for a problem, or why there is none.
    pub fn new(problem: &Divergence) -> Result<Self, Error> {
        problem.check()?;
        Ok(Self { shared_buffer: problem.shared_buffer })
    }
}

impl Shader for Diverge {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/weights/diverge.wgsl");
        let text = Text::new(self.shared_buffer).tensor(Tensor::Weights, Use::Read, "f32");
        let text = text.tensor(Tensor::OtherWeights, Use::Read, "f32").tensor(Tensor::Divergence, Use::Write, "f32");
        text.join(&[parts::HEADS, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn workgroup(&self) -> Workgroup {
        // tile: a vec3, which takes the place of a vec4, for each invocation.
        Workgroup { invocations: 64, bytes: 64 * 16, rows: 1, keys: 64, grouped: false }
    }

    fn loads(&self) -> String {
        "f32, one at a time".into()
    }
}
