//! What the kernels of a forward pass have in common: what they read, write and take into account.

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        lanes::Lanes,
        scoring::Scoring,
        workgroup::{Needs, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::{
        access::Access,
        parts,
        slot::Slot,
        text::{Text, Use},
    },
    tensor::{Tensor, view::View},
};

/// One pass over the keys, whatever the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ForwardPass {
    head_dim: u32,
    /// 1 where there are no values.
    value_dim: u32,
    pub(crate) scoring: Scoring,
    q: Access,
    k: Access,
    /// Values and out, where it is asked for.
    values: Option<[Access; 2]>,
    sinks: bool,
    lse: bool,
    state: bool,
    partial: bool,
    shared_buffer: bool,
}

impl ForwardPass {
    /// The pass for `spec` by kernels whose blocks have `rows` query rows.
    pub(crate) fn new(spec: &Spec, caps: &Caps, rows: u32) -> Result<Self, Error> {
        spec.check()?;
        let access = |view| Access::of(&view, caps.f16);
        let [q, k, v] = [spec.q_view(), spec.k_view(), spec.v_view()].map(access);
        let shape = spec.shape();
        Ok(Self {
            head_dim: shape.head_dim,
            value_dim: if spec.out { shape.value_dim } else { 1 },
            scoring: Scoring::of(spec).grouped(spec, rows),
            q,
            k,
            values: spec.view(Tensor::Out).map(|out| [v, access(out)]),
            sinks: spec.sinks,
            lse: spec.lse,
            state: spec.weights,
            partial: false,
            shared_buffer: spec.shared_buffer,
        })
    }

    /// The same over some of the keys, for [`Merge`](super::Merge) to put together: out is this view's.
    pub(crate) fn partial(self, out: &View) -> Self {
        let values = self.values.map(|[v, _]| [v, Access::of(out, false)]);
        Self { values, sinks: false, lse: false, state: true, partial: true, ..self }
    }

    pub(crate) const fn head_dim(&self) -> u32 {
        self.head_dim
    }

    pub(crate) const fn value_dim(&self) -> u32 {
        self.value_dim
    }

    pub(crate) const fn has_values(&self) -> bool {
        self.values.is_some()
    }

    /// Everything but the algorithm itself, which is yet to be joined.
    pub(crate) fn text(&self, workgroup: Workgroup, lanes: Lanes) -> Text {
        let text = lanes.constants(Text::new(self.shared_buffer));
        let text = text.constant("HEAD_DIM", self.head_dim).constant("VALUE_DIM", self.value_dim);
        let mut text = self.scoring.join(text.flag("PARTIAL", self.partial), workgroup);
        text = text.load(Tensor::Q, self.q, "HEAD_DIM").load(Tensor::K, self.k, "HEAD_DIM");
        text = match self.values {
            Some([v, out]) => text.load(Tensor::V, v, "VALUE_DIM").store_out(out),
            None => text.load_nothing(Tensor::V).store_nothing(),
        };
        if self.lse {
            text = text.tensor(Tensor::Lse, Use::Write, "u32");
        }
        let mut slots = self.scoring.slots();
        slots.extend(self.sinks.then_some(Slot::Of(Tensor::Sinks)));
        slots.extend(self.state.then_some(Slot::States));
        if !slots.is_empty() {
            text = text.workspace(slots);
        }
        text.join(&[
            parts::LANES,
            parts::KEY_ROW,
            parts::PAIRS,
            if self.sinks { parts::SINKS } else { parts::NO_SINKS },
            parts::SOFTMAX_ROW,
            if self.lse { parts::LSE } else { parts::NO_LSE },
            if self.state { parts::STATE } else { parts::NO_STATE },
            parts::FINISH,
        ])
    }

    /// What its tensors need of a device.
    pub(crate) fn needs(&self) -> Needs {
        Needs::of([self.q, self.k].into_iter().chain(self.values.into_iter().flatten()))
    }

    /// How it reads and writes tensors, in words.
    pub(crate) fn loads(&self) -> String {
        let values = self.values.map(|[v, out]| format!("; v {}; out {}", v.words(), out.words()));
        format!("q {}; k {}{}", self.q.words(), self.k.words(), values.unwrap_or_default())
    }
}
