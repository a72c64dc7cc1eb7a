//! Pool: weights into the cells of a map. Shader `shaders/pool.wgsl`, oracle
//! [`reference::measures`](crate::reference::measures).

use super::{Shader, Workgroup, scoring::Scoring, second::Second};
use crate::{caps::Caps, error::Error, measures::Measures, params::Params};

/// Cells of a workgroup.
const STRIP: u32 = 256;

/// A pool kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    second: Second,
    /// Rows of cells that a workgroup has.
    group: u32,
    maximum: bool,
}

impl Pool {
    /// Its name.
    pub const NAME: &'static str = "pool";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let second = Second::new(Self::NAME, spec, caps, Scoring::of(spec))?;
        let rows = second.workgroup(0).rows;
        let Some(([cell_rows, _], map)) = measures.cell().zip(measures.map) else {
            return Err(Error::Kernel { kernel: Self::NAME, because: "no map is asked for".into() });
        };
        // Cells lower than a tile share one.
        Ok(Self { second, group: (rows / cell_rows).max(1), maximum: map.pool == crate::measures::Pool::Max })
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        self.second.loops(params)
    }

    /// Rows of cells that a workgroup has, and cells of each.
    pub(super) const fn cells(&self) -> [u32; 2] {
        [self.group, STRIP / self.group]
    }
}

impl Shader for Pool {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/pool.wgsl");
        let text = self.second.text(true).constant("STRIP", STRIP).constant("GROUP", self.group);
        text.flag("MAXIMUM", self.maximum).join(&[MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        let Workgroup { rows, keys, .. } = self.second.workgroup(0);
        let pairs = if self.group > 1 { rows * keys } else { 1 };
        self.second.workgroup(4 * (STRIP + pairs + keys * self.second.lanes().ty))
    }

    fn loads(&self) -> String {
        self.second.loads()
    }
}
