//! Merge: partial results over disjoint keys into the whole. Shader `shaders/merge.wgsl`, oracle
//! [`reference::merge`](crate::reference::merge).

use super::{LINEAR, Shader, Workgroup};
use crate::{
    caps::Caps,
    error::Error,
    merge::Merge as Problem,
    shader::{
        Access, HEADS, LSE, NO_LSE, NO_OUT, NO_PARTS, NO_SINKS, NO_STATE, PARAMS, PART_LSES, PART_STATE, ROW_DENSE,
        ROW_PACKED, SCORE, SINKS, SOFTMAX_ROW, STATE, Text, WORKSPACE,
    },
    spec::Spec,
    tensor::Tensor,
    view::View,
};

/// A merge kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Merge {
    /// 1 where there is no out.
    value_dim: u32,
    /// Partial outputs and out, where it is asked for.
    values: Option<[Access; 2]>,
    /// Parts are sums and row states in the workspace, not outputs and log-sum-exps.
    sums: bool,
    /// Only rows of sequences exist.
    packed: bool,
    sinks: bool,
    lse: bool,
    shared_buffer: bool,
}

impl Merge {
    /// Its name.
    pub const NAME: &'static str = "merge";

    /// The kernel for a problem of the caller's, or why there is none.
    pub fn new(problem: &Problem, caps: &Caps) -> Result<Self, Error> {
        problem.check()?;
        let access = |tensor| problem.view(tensor).map(|view| Access::of(&view, caps.f16));
        let values = access(Tensor::Parts).zip(access(Tensor::Out)).map(|(parts, out)| [parts, out]);
        Ok(Self {
            value_dim: problem.sizes()[3],
            values,
            sums: false,
            packed: false,
            sinks: problem.view(Tensor::Sinks).is_some(),
            lse: problem.view(Tensor::Lse).is_some(),
            shared_buffer: problem.shared_buffer,
        })
    }

    /// The kernel for what the forward kernels left of an attention whose keys are cut into parts.
    pub(super) fn sums(spec: &Spec, caps: &Caps, parts: &View) -> Self {
        let access = |view: &View| Access::of(view, caps.f16);
        Self {
            value_dim: if spec.out { spec.shape().value_dim } else { 1 },
            values: spec.view(Tensor::Out).map(|out| [Access::of(parts, false), access(&out)]),
            sums: true,
            packed: spec.sequences.is_some(),
            sinks: spec.sinks,
            lse: spec.lse,
            shared_buffer: spec.shared_buffer,
        }
    }
}

impl Shader for Merge {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/merge.wgsl");
        let mut text = Text::new(self.shared_buffer).constant("VALUE_DIM", self.value_dim);
        text = text.flag("PARTS_ARE_SUMS", self.sums);
        // Sums lie in the workspace, beside what is written there.
        let space = if self.sums { "read_write" } else { "read" };
        text = match self.values {
            Some([parts, out]) => text.load_from(space, "parts", 15, parts, "VALUE_DIM").store_out(out),
            None => text.join(&[NO_PARTS, NO_OUT]),
        };
        if self.sums || self.sinks {
            text = text.join(&[WORKSPACE]);
        }
        let parts = [
            PARAMS,
            HEADS,
            SCORE,
            if self.sinks { SINKS } else { NO_SINKS },
            SOFTMAX_ROW,
            if self.sums { PART_STATE } else { PART_LSES },
            if self.packed { ROW_PACKED } else { ROW_DENSE },
            if self.lse { LSE } else { NO_LSE },
            if self.sums { STATE } else { NO_STATE },
            MAIN,
        ];
        text.join(&parts).finish()
    }

    fn workgroup(&self) -> Workgroup {
        LINEAR
    }

    fn loads(&self) -> String {
        let values = self.values.map(|[parts, out]| format!("parts {}; out {}", parts.words(), out.words()));
        values.unwrap_or_else(|| "row states".into())
    }
}
