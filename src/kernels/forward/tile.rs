//! Tile: tiles of queries, keys and values in workgroup memory, a part of each in the registers of every invocation. Shader
//! `shaders/forward/tile.wgsl`, twin [`reference::tiled`](crate::reference::tiled).

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        forward::{
            pass::ForwardPass,
            register_tile::{Arrays, RegisterTile},
        },
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::{params::Params, parts, source::Source},
    tensor::view::View,
};

/// A tile kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    tile: RegisterTile,
    pass: ForwardPass,
}

impl Tile {
    /// Its name.
    pub const NAME: &'static str = "tile";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let tile = RegisterTile::choose(Self::NAME, spec, caps)?;
        let pass = ForwardPass::new(spec, caps, tile.rows())?;
        let arrays = Arrays { scores: true, values: pass.has_values(), rows: true };
        Ok(Self { tile: tile.with(arrays, pass.scoring.shared_bytes()), pass })
    }

    pub(crate) fn partial(self, out: &View) -> Self {
        Self { pass: self.pass.partial(out), ..self }
    }
}

impl Shader for Tile {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/forward/tile.wgsl");
        let text = self.tile.constants(self.pass.text(self.workgroup(), self.tile.lanes()));
        let values = if self.pass.has_values() { parts::TILE_VALUES } else { parts::NO_VALUES };
        text.join(&[parts::COLUMNS, parts::ROW_ALONE, parts::TILE_SCORES, values, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        self.pass.needs()
    }

    fn loops(&self, params: Params) -> Params {
        self.tile.loops(self.pass.head_dim(), params)
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { grouped: self.pass.scoring.is_grouped(), ..self.tile.workgroup() }
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
