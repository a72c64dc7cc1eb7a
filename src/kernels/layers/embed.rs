//! Embed: rows of a table by ids. Shader `shaders/layers/embed.wgsl`, oracle [`reference::embed`](crate::reference::embed).

use crate::{
    caps::Caps,
    error::Error,
    kernels::workgroup::{Needs, ONE_EACH, Shader, Workgroup},
    problem::embed::Embed,
    shader::{
        access::Access,
        parts,
        source::Source,
        text::{Text, Use},
    },
    tensor::Tensor,
};

/// An embed kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EmbedKernel {
    dim: u32,
    table: Access,
    positions: Option<Access>,
    out: Access,
    shared_buffer: bool,
}

impl EmbedKernel {
    /// Its name.
    pub const NAME: &'static str = "embed";

    /// The kernel for an embedding, or why there is none.
    pub fn new(problem: &Embed, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        let access = |view| Access::of(&view, caps.f16);
        let [table, out] = [problem.table_view(), problem.out_view()].map(access);
        let positions = problem.view(Tensor::Positions).map(access);
        Ok(Self { dim: problem.sizes()[2], table, positions, out, shared_buffer: problem.shared_buffer })
    }
}

impl Shader for EmbedKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/layers/embed.wgsl");
        let text = Text::new(self.shared_buffer).constant("VALUE_DIM", self.dim);
        let text =
            text.tensor(Tensor::Ids, Use::Read, "u32").load(Tensor::Table, self.table, "VALUE_DIM").store_out(self.out);
        let text = match self.positions {
            Some(positions) => text.load(Tensor::Positions, positions, "VALUE_DIM").join(&[parts::LEARNED_POSITIONS]),
            None => text.join(&[parts::NO_LEARNED_POSITIONS]),
        };
        text.join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::of([self.table, self.out].into_iter().chain(self.positions))
    }

    fn workgroup(&self) -> Workgroup {
        ONE_EACH
    }

    fn loads(&self) -> String {
        format!("table {}; out {}", self.table.words(), self.out.words())
    }
}
