//! Merge: partial results over disjoint keys into the whole. Shader `shaders/helpers/merge.wgsl`, oracle
//! [`reference::merge`](crate::reference::merge).

use crate::{
    caps::Caps,
    error::Error,
    kernels::workgroup::{Needs, ONE_EACH, Shader, Workgroup},
    problem::{attention::spec::Spec, merge::Merge},
    shader::{
        access::Access,
        parts,
        slot::Slot,
        source::Source,
        text::{Text, Use},
    },
    tensor::{Tensor, view::View},
};

/// A merge kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MergeKernel {
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

impl MergeKernel {
    /// Its name.
    pub const NAME: &'static str = "merge";

    /// The kernel for a problem of the caller's, or why there is none.
    pub fn new(problem: &Merge, caps: &Caps) -> Result<Self, Error> {
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
    pub(crate) fn sums(spec: &Spec, caps: &Caps, parts: &View) -> Self {
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

impl Shader for MergeKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/helpers/merge.wgsl");
        let mut text = Text::new(self.shared_buffer).constant("VALUE_DIM", self.value_dim);
        text = text.flag("PARTS_ARE_SUMS", self.sums);
        // Sums lie in the workspace, beside what is written there.
        let used = if self.sums { Use::Write } else { Use::Read };
        text = match self.values {
            Some([parts, out]) => text.load_from(used, Tensor::Parts, parts, "VALUE_DIM").store_out(out),
            None => text.load_nothing(Tensor::Parts).store_nothing(),
        };
        if self.lse {
            text = text.tensor(Tensor::Lse, Use::Write, "u32");
        }
        if !self.sums {
            text = text.tensor(Tensor::PartLses, Use::Read, "u32");
        }
        if self.sums || self.sinks {
            let sinks = self.sinks.then_some(Slot::Of(Tensor::Sinks));
            let starts = self.packed.then_some(Slot::Of(Tensor::CuQ));
            text = text.workspace([self.sums.then_some(Slot::States), sinks, starts].into_iter().flatten());
        }
        let parts = [
            parts::HEADS,
            parts::SCORE,
            if self.sinks { parts::SINKS } else { parts::NO_SINKS },
            parts::SOFTMAX_ROW,
            if self.sums { parts::PART_STATE } else { parts::PART_LSES },
            if self.packed { parts::ROW_PACKED } else { parts::ROW_DENSE },
            if self.lse { parts::LSE } else { parts::NO_LSE },
            if self.sums { parts::STATE } else { parts::NO_STATE },
            MAIN,
        ];
        text.join(&parts).finish()
    }

    fn needs(&self) -> Needs {
        Needs::of(self.values.into_iter().flatten())
    }

    fn workgroup(&self) -> Workgroup {
        ONE_EACH
    }

    fn loads(&self) -> String {
        let values = self.values.map(|[parts, out]| format!("parts {}; out {}", parts.words(), out.words()));
        values.unwrap_or_else(|| "row states".into())
    }
}
