//! Pool: weights into the cells of a map. Shader `shaders/weights/pool.wgsl`, oracle
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

/// Cells of a workgroup.
const STRIP: u32 = 256;

/// A pool kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolKernel {
    pass: WeightsPass,
    /// Rows of cells that a workgroup has.
    group: u32,
    maximum: bool,
}

impl PoolKernel {
    /// Its name.
    pub const NAME: &'static str = "pool";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let pass = WeightsPass::new(Self::NAME, spec, caps, Scoring::of(spec))?;
        let rows = pass.workgroup(0).rows;
        let Some(([cell_rows, _], map)) = measures.cell().zip(measures.map) else {
            return Err(Error::Kernel { kernel: Self::NAME, because: "no map is asked for".into() });
        };
        // Cells lower than a tile share one.
        Ok(Self { pass, group: (rows / cell_rows).max(1), maximum: map.pool == crate::problem::measures::Pool::Max })
    }

    /// Rows of cells that a workgroup has, and cells of each.
    pub(crate) const fn cells(&self) -> [u32; 2] {
        [self.group, STRIP / self.group]
    }
}

impl Shader for PoolKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/weights/pool.wgsl");
        let text = self
            .pass
            .text(true, &[])
            .tensor(Tensor::Map, Use::Write, "f32")
            .constant("STRIP", STRIP)
            .constant("GROUP", self.group);
        text.flag("MAXIMUM", self.maximum).join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        self.pass.needs()
    }

    fn loops(&self, params: Params) -> Params {
        self.pass.loops(params)
    }

    fn workgroup(&self) -> Workgroup {
        let Workgroup { rows, keys, .. } = self.pass.workgroup(0);
        let pairs = if self.group > 1 { rows * keys } else { 1 };
        self.pass.workgroup(4 * (STRIP + pairs + keys * self.pass.lanes().ty))
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
