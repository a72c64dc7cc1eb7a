//! Scores: a score or a weight of every pair into memory. Shader `shaders/weights/scores.wgsl`.

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        scoring::Scoring,
        weights::pass::WeightsPass,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::attention::{shape::ScoreStage, spec::Spec},
    shader::{params::Params, parts, source::Source, text::Use},
    tensor::Tensor,
};

/// A scores kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scores {
    pass: WeightsPass,
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
        Ok(Self { pass: WeightsPass::new(Self::NAME, spec, caps, scoring)?, stage })
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

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/weights/scores.wgsl");
        let stage = self.stage.unwrap_or(ScoreStage::Masked) as u32;
        let text = self
            .pass
            .text(self.stage.is_none(), &[])
            .tensor(Tensor::Weights, Use::Write, "u32")
            .constant("STAGE", stage);
        text.join(&[if self.stage.is_none() { parts::WEIGH } else { parts::RAW }, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        self.pass.needs()
    }

    fn loops(&self, params: Params) -> Params {
        self.pass.loops(params)
    }

    fn workgroup(&self) -> Workgroup {
        self.pass.workgroup(0)
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
