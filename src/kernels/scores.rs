//! Scores: a score or a weight of every pair into memory. Shader `shaders/scores.wgsl`.

use super::{Shader, Workgroup, scoring::Scoring, second::Second};
use crate::{
    caps::Caps,
    error::Error,
    params::Params,
    shader::{RAW, WEIGH, WEIGHTS},
    shape::ScoreStage,
    spec::Spec,
};

/// A scores kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scores {
    second: Second,
    /// `None` for weights.
    stage: Option<ScoreStage>,
}

impl Scores {
    /// Its name.
    pub const NAME: &'static str = "scores";

    /// The kernel that writes the scores of a stage, or the weights where there is none; or why it cannot.
    pub fn new(spec: &Spec, caps: &Caps, stage: Option<ScoreStage>) -> Result<Self, Error> {
        let scoring = match stage {
            Some(ScoreStage::Scaled) => Scoring::of(spec).raw(false),
            Some(ScoreStage::Capped) => Scoring::of(spec).raw(true),
            Some(ScoreStage::Masked) | None => Scoring::of(spec),
        };
        Ok(Self { second: Second::new(Self::NAME, spec, caps, scoring)?, stage })
    }

    /// The stage whose scores it writes; `None` for weights.
    #[must_use]
    pub const fn stage(&self) -> Option<ScoreStage> {
        self.stage
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        self.second.loops(params)
    }
}

impl Shader for Scores {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/scores.wgsl");
        let stage = self.stage.unwrap_or(ScoreStage::Masked) as u32;
        let text = self.second.text(self.stage.is_none()).constant("STAGE", stage);
        text.join(&[if self.stage.is_none() { WEIGH } else { RAW }, WEIGHTS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        self.second.workgroup(0)
    }

    fn loads(&self) -> String {
        self.second.loads()
    }
}
