//! Tile: tiles of queries, keys and values in workgroup memory, a part of each in the registers of every invocation. Shader
//! `shaders/tile.wgsl`, twin [`reference::tiled`](crate::reference::tiled).

use super::{
    Shader, Workgroup,
    forward::Pass,
    register_tile::{Arrays, RegisterTile},
};
use crate::{
    caps::Caps,
    error::Error,
    params::Params,
    shader::{COLUMNS, NO_VALUES, ROW_ALONE, TILE_SCORES, TILE_VALUES},
    spec::Spec,
    view::View,
};

/// A tile kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    tile: RegisterTile,
    pass: Pass,
}

impl Tile {
    /// Its name.
    pub const NAME: &'static str = "tile";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let tile = RegisterTile::choose(Self::NAME, spec, caps)?;
        let pass = Pass::new(spec, caps, tile.rows())?;
        let arrays = Arrays { scores: true, values: pass.has_values(), rows: true };
        Ok(Self { tile: tile.with(arrays, pass.scoring.shared_bytes()), pass })
    }

    pub(super) fn partial(self, out: &View) -> Self {
        Self { pass: self.pass.partial(out), ..self }
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        self.tile.loops(self.pass.head_dim(), params)
    }
}

impl Shader for Tile {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/tile.wgsl");
        let text = self.tile.constants(self.pass.text(self.workgroup(), self.tile.lanes()));
        let values = if self.pass.has_values() { TILE_VALUES } else { NO_VALUES };
        text.join(&[COLUMNS, ROW_ALONE, TILE_SCORES, values, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { grouped: self.pass.scoring.is_grouped(), ..self.tile.workgroup() }
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
