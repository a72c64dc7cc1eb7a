//! Embed: rows of a table by ids. Shader `shaders/embed.wgsl`, oracle [`reference::embed`](crate::reference::embed).

use super::{LINEAR, Shader, Workgroup};
use crate::{
    caps::Caps,
    embed::Embed as Problem,
    error::Error,
    shader::{Access, NO_PLACES, PARAMS, PLACES, Text},
    tensor::Tensor,
};

/// An embed kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Embed {
    dim: u32,
    table: Access,
    positions: Option<Access>,
    out: Access,
    shared_buffer: bool,
}

impl Embed {
    /// Its name.
    pub const NAME: &'static str = "embed";

    /// The kernel for an embedding, or why there is none.
    pub fn new(problem: &Problem, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        let access = |tensor| problem.view(tensor).map(|view| Access::of(&view, caps.f16));
        let (Some(table), Some(out)) = (access(Tensor::Table), access(Tensor::Out)) else {
            return Err(Error::NoOutput); // every embedding has both
        };
        let positions = access(Tensor::Positions);
        Ok(Self { dim: problem.sizes()[2], table, positions, out, shared_buffer: problem.shared_buffer })
    }
}

impl Shader for Embed {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/embed.wgsl");
        let text = Text::new(self.shared_buffer).constant("VALUE_DIM", self.dim);
        let text = text.load("table", 36, self.table, "VALUE_DIM").store_out(self.out);
        let text = match self.positions {
            Some(positions) => text.load("positions", 12, positions, "VALUE_DIM").join(&[PLACES]),
            None => text.join(&[NO_PLACES]),
        };
        text.join(&[PARAMS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        LINEAR
    }

    fn loads(&self) -> String {
        format!("table {}; out {}", self.table.words(), self.out.words())
    }
}
