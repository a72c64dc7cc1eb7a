//! Measure: entropy and other measures of each row. Shader `shaders/weights/measure.wgsl`, oracle
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

/// A measure kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeasureKernel {
    pass: WeightsPass,
    ranges: u32,
}

impl MeasureKernel {
    /// Its name.
    pub const NAME: &'static str = "measure";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let pass = WeightsPass::new(Self::NAME, spec, caps, Scoring::of(spec))?;
        Ok(Self { pass, ranges: measures.ranges })
    }
}

impl Shader for MeasureKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/weights/measure.wgsl");
        let ranges: &[Tensor] = if self.ranges > 0 { &[Tensor::Ranges] } else { &[] };
        let text = self.pass.text(true, ranges).tensor(Tensor::RowMeasures, Use::Write, "f32");
        let text = if self.ranges > 0 { text } else { text.nowhere(Tensor::Ranges) };
        text.constant("RANGES", self.ranges).join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        self.pass.needs()
    }

    fn loops(&self, params: Params) -> Params {
        self.pass.loops(params)
    }

    fn workgroup(&self) -> Workgroup {
        // row_tile
        self.pass.workgroup(4 * self.pass.workgroup(0).rows * self.pass.lanes().tx)
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
