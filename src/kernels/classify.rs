//! Classify: which tiles the keep-mask and the bias empty, and in which they do nothing. Shader `shaders/classify.wgsl`.

use super::{
    Shader, Workgroup,
    scoring::Scoring,
    tile::{Arrays, Tile},
};
use crate::{
    caps::Caps,
    error::Error,
    shader::{Text, WORKSPACE},
    spec::Spec,
};

const ARRAYS: Arrays = Arrays { scores: false, values: false, rows: false, invocations: true };

/// A classify kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classify {
    tile: Tile,
    scoring: Scoring,
    shared_buffer: bool,
}

impl Classify {
    /// Its name.
    pub const NAME: &'static str = "classify";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        spec.check()?;
        if !spec.is_masked() {
            let because = "there is neither a bias nor a keep-mask".into();
            return Err(Error::Kernel { kernel: Self::NAME, because });
        }
        let scoring = Scoring::of(spec).masks();
        let tile = Tile::choose(Self::NAME, spec, caps)?.with(ARRAYS, scoring.shared_bytes());
        Ok(Self { tile, scoring, shared_buffer: spec.shared_buffer })
    }
}

impl Shader for Classify {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/classify.wgsl");
        let text = self.tile.constants(Text::new(self.shared_buffer));
        self.scoring.join(text).join(&[WORKSPACE, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        self.tile.workgroup()
    }

    fn loads(&self) -> String {
        "bias and keep-mask, one at a time".into()
    }
}
