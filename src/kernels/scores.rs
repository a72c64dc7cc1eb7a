//! Scores: a score or a weight of every pair into memory. Shader `shaders/scores.wgsl`.

use super::{
    Shader, Workgroup,
    register_tile::{Arrays, RegisterTile},
    scoring::Scoring,
};
use crate::{
    caps::Caps,
    error::Error,
    params::Params,
    shader::{Access, LANES, PAIRS, RAW, STATE, TILE_SCORES, Text, WEIGH, WEIGHTS, WORKSPACE},
    shape::ScoreStage,
    spec::Spec,
    tensor::Tensor,
};

const ARRAYS: Arrays = Arrays { scores: true, values: false, rows: false };

/// A scores kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scores {
    tile: RegisterTile,
    head_dim: u32,
    scoring: Scoring,
    q: Access,
    k: Access,
    /// `None` for weights.
    stage: Option<ScoreStage>,
    shared_buffer: bool,
}

impl Scores {
    /// Its name.
    pub const NAME: &'static str = "scores";

    /// The kernel that writes the scores of a stage, or the weights where there is none; or why it cannot.
    pub fn new(spec: &Spec, caps: &Caps, stage: Option<ScoreStage>) -> Result<Self, Error> {
        spec.check()?;
        let scoring = match stage {
            Some(ScoreStage::Scaled) => Scoring::of(spec).raw(false),
            Some(ScoreStage::Capped) => Scoring::of(spec).raw(true),
            Some(ScoreStage::Masked) | None => Scoring::of(spec),
        };
        let access = |tensor| spec.view(tensor).map(|view| Access::of(&view, caps.f16));
        let (Some(q), Some(k)) = (access(Tensor::Q), access(Tensor::K)) else {
            return Err(Error::NoOutput); // every spec has q and k
        };
        let tile = RegisterTile::choose(Self::NAME, spec, caps)?.with(ARRAYS, scoring.shared_bytes());
        let (head_dim, shared_buffer) = (spec.shape().head_dim, spec.shared_buffer);
        Ok(Self { tile, head_dim, scoring, q, k, stage, shared_buffer })
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        self.tile.loops(self.head_dim, params)
    }

    /// The stage whose scores it writes; `None` for weights.
    #[must_use]
    pub const fn stage(&self) -> Option<ScoreStage> {
        self.stage
    }
}

impl Shader for Scores {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/scores.wgsl");
        let stage = self.stage.unwrap_or(ScoreStage::Masked) as u32;
        let text = Text::new(self.shared_buffer).constant("HEAD_DIM", self.head_dim).constant("STAGE", stage);
        let text = self.tile.lanes().constants(self.tile.constants(text));
        let mut text = self.scoring.join(text, self.workgroup());
        text = text.load("q", 1, self.q, "HEAD_DIM").load("k", 2, self.k, "HEAD_DIM");
        if self.scoring.reads_workspace() || self.stage.is_none() {
            text = text.join(&[WORKSPACE]);
        }
        text = if self.stage.is_none() { text.join(&[STATE, WEIGH]) } else { text.join(&[RAW]) };
        text.join(&[WEIGHTS, LANES, TILE_SCORES, PAIRS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        self.tile.workgroup()
    }

    fn loads(&self) -> String {
        format!("q {}; k {}", self.q.words(), self.k.words())
    }
}
