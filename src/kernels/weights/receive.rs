//! Receive: what each key gets from all rows. Shader `shaders/weights/receive.wgsl`, oracle
//! [`reference::measures`](crate::reference::measures).

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        scoring::Scoring,
        weights::pass::WeightsPass,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::measures::Measures,
    shader::{params::Params, source::Source, text::Use},
    tensor::Tensor,
};

/// A receive kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receive {
    pass: WeightsPass,
}

impl Receive {
    /// Its name.
    pub const NAME: &'static str = "receive";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let pass = WeightsPass::new(Self::NAME, spec, caps, Scoring::of(spec))?;
        Ok(Self { pass })
    }
}

impl Shader for Receive {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/weights/receive.wgsl");
        self.pass.text(true, &[]).tensor(Tensor::Received, Use::Write, "f32").join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        self.pass.needs()
    }

    fn loops(&self, params: Params) -> Params {
        self.pass.loops(params)
    }

    fn workgroup(&self) -> Workgroup {
        // column_tile
        self.pass.workgroup(4 * self.pass.workgroup(0).keys * self.pass.lanes().ty)
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
