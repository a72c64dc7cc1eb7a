//! Receive: what each key gets from all rows. Shader `shaders/receive.wgsl`, oracle
//! [`reference::measures`](crate::reference::measures).

use super::{Shader, Workgroup, scoring::Scoring, second::Second};
use crate::{caps::Caps, error::Error, measures::Measures, params::Params};

/// A receive kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receive {
    second: Second,
}

impl Receive {
    /// Its name.
    pub const NAME: &'static str = "receive";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let second = Second::new(Self::NAME, spec, caps, Scoring::of(spec))?;
        Ok(Self { second })
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        self.second.loops(params)
    }
}

impl Shader for Receive {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/receive.wgsl");
        self.second.text(true).join(&[MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        // column_tile
        self.second.workgroup(4 * self.second.workgroup(0).keys * self.second.lanes().ty)
    }

    fn loads(&self) -> String {
        self.second.loads()
    }
}
