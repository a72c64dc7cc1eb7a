//! Aggregate: the last of three stages, the weights times the values. Shader `shaders/aggregate.wgsl`.

use super::{
    Shader, Workgroup,
    tile::{Arrays, Tile},
};
use crate::{
    caps::Caps,
    error::Error,
    shader::{PARAMS, Parts, SCORE, TILE, TILE_VALUES, WEIGHTS},
    shape::Shape,
    spec::Spec,
};

const ARRAYS: Arrays = Arrays { scores: false, values: true, rows: false };

/// A aggregate kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aggregate {
    parts: Parts,
    tile: Tile,
}

impl Aggregate {
    /// Its name.
    pub const NAME: &'static str = "aggregate";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        spec.check()?;
        let tile = Tile::choose(Self::NAME, spec, caps, ARRAYS)?;
        Ok(Self { parts: Parts::of(spec).without_lse(), tile })
    }
}

impl Shader for Aggregate {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/aggregate.wgsl");
        self.tile.constants(self.parts.text()).join(&[PARAMS, SCORE, self.parts.v(), WEIGHTS, TILE, TILE_VALUES, MAIN])
    }

    fn workgroup(&self) -> Workgroup {
        self.tile.workgroup()
    }

    fn flops_per_pair(&self, shape: &Shape) -> u64 {
        2 * u64::from(shape.value_dim)
    }

    fn loads(&self) -> &'static str {
        self.parts.loads()
    }
}
