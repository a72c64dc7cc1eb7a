//! Scores: the first of three stages, `scale * q kᵀ` into memory. Shader `shaders/scores.wgsl`.

use super::{
    Shader, Workgroup,
    tile::{Arrays, Tile},
};
use crate::{
    caps::Caps,
    error::Error,
    shader::{PARAMS, Parts, SCORE, TILE, TILE_SCORES, WEIGHTS},
    shape::Shape,
    spec::Spec,
};

const ARRAYS: Arrays = Arrays { scores: true, values: false, rows: false };

/// A scores kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scores {
    parts: Parts,
    tile: Tile,
}

impl Scores {
    /// Its name.
    pub const NAME: &'static str = "scores";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        spec.check()?;
        let tile = Tile::choose(Self::NAME, spec, caps, ARRAYS)?;
        Ok(Self { parts: Parts::of(spec).without_lse(), tile })
    }
}

impl Shader for Scores {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/scores.wgsl");
        self.tile.constants(self.parts.text()).join(&[PARAMS, SCORE, self.parts.qk(), WEIGHTS, TILE, TILE_SCORES, MAIN])
    }

    fn workgroup(&self) -> Workgroup {
        self.tile.workgroup()
    }

    fn flops_per_pair(&self, shape: &Shape) -> u64 {
        2 * u64::from(shape.head_dim)
    }

    fn loads(&self) -> &'static str {
        self.parts.loads()
    }
}
