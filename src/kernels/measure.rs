//! Measure: entropy and other measures of each row. Shader `shaders/measure.wgsl`, oracle
//! [`reference::measures`](crate::reference::measures).

use super::{Shader, Workgroup, scoring::Scoring, second::Second};
use crate::{caps::Caps, error::Error, measures::Measures, params::Params};

/// A measure kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    second: Second,
    ranges: u32,
}

impl Measure {
    /// Its name.
    pub const NAME: &'static str = "measure";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let second = Second::new(Self::NAME, spec, caps, Scoring::of(spec))?;
        Ok(Self { second, ranges: measures.ranges })
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        self.second.loops(params)
    }
}

impl Shader for Measure {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/measure.wgsl");
        self.second.text(true).constant("RANGES", self.ranges).join(&[MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        // row_tile
        self.second.workgroup(4 * self.second.workgroup(0).rows * self.second.lanes().tx)
    }

    fn loads(&self) -> String {
        self.second.loads()
    }
}
