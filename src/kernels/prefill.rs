//! Prefill: attention in one pass over the keys, a block of query rows per workgroup. Shader `shaders/prefill.wgsl`, twin
//! [`reference::tiled`](crate::reference::tiled).

use super::{
    Shader, Workgroup,
    tile::{Arrays, Tile},
};
use crate::{
    caps::Caps,
    error::Error,
    shader::{PARAMS, Parts, SCORE, SOFTMAX_ROW, TILE, TILE_SCORES, TILE_VALUES},
    shape::Shape,
    spec::Spec,
};

const ARRAYS: Arrays = Arrays { scores: true, values: true, rows: true };

/// A prefill kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefill {
    parts: Parts,
    tile: Tile,
}

impl Prefill {
    /// Its name.
    pub const NAME: &'static str = "prefill";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        spec.check()?;
        if spec.weights {
            let because = "it never holds the attention weights, which the spec asks for".into();
            return Err(Error::Kernel { kernel: Self::NAME, because });
        }
        let tile = Tile::choose(Self::NAME, spec, caps, ARRAYS)?;
        Ok(Self { parts: Parts::of(spec), tile })
    }
}

impl Shader for Prefill {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/prefill.wgsl");
        self.tile.constants(self.parts.text()).join(&[
            PARAMS,
            SCORE,
            SOFTMAX_ROW,
            self.parts.qk(),
            self.parts.v(),
            self.parts.lse(),
            TILE,
            TILE_SCORES,
            TILE_VALUES,
            MAIN,
        ])
    }

    fn workgroup(&self) -> Workgroup {
        self.tile.workgroup()
    }

    fn flops_per_pair(&self, shape: &Shape) -> u64 {
        2 * u64::from(shape.head_dim + shape.value_dim)
    }

    fn loads(&self) -> &'static str {
        self.parts.loads()
    }
}
