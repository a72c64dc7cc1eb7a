//! What the kernels of a forward pass have in common: what they read, write and take into account.

use super::{Workgroup, scoring::Scoring};
use crate::{
    caps::Caps,
    error::Error,
    shader::{
        Access, FINISH, LANES, LSE, NO_LSE, NO_OUT, NO_SINKS, NO_STATE, NO_V, PAIRS, SINKS, SOFTMAX_ROW, STATE, Text,
        WORKSPACE,
    },
    spec::Spec,
    tensor::Tensor,
    view::View,
};

/// How the invocations of a workgroup share a tile: `tx * ty` of them hold `rm` rows x `rn` keys each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lanes {
    pub(super) tx: u32,
    pub(super) ty: u32,
    pub(super) rm: u32,
    pub(super) rn: u32,
}

impl Lanes {
    pub(super) fn constants(&self, text: Text) -> Text {
        text.constant("TX", self.tx).constant("TY", self.ty).constant("RM", self.rm).constant("RN", self.rn)
    }
}

/// One pass over the keys, whatever the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pass {
    head_dim: u32,
    /// 1 where there are no values.
    value_dim: u32,
    pub(super) scoring: Scoring,
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

impl Pass {
    /// The pass for `spec` by kernels with so many query rows in a block.
    pub(super) fn new(spec: &Spec, caps: &Caps, rows: u32) -> Result<Self, Error> {
        spec.check()?;
        let access = |tensor| spec.view(tensor).map(|view| Access::of(&view, caps.f16));
        let (Some(q), Some(k), v) = (access(Tensor::Q), access(Tensor::K), access(Tensor::V)) else {
            return Err(Error::NoOutput); // every spec has q and k
        };
        let shape = spec.shape();
        Ok(Self {
            head_dim: shape.head_dim,
            value_dim: if spec.out { shape.value_dim } else { 1 },
            scoring: Scoring::of(spec).grouped(spec, rows),
            q,
            k,
            values: v.zip(access(Tensor::Out)).map(|(v, out)| [v, out]),
            sinks: spec.sinks,
            lse: spec.lse,
            state: spec.weights,
            partial: false,
            shared_buffer: spec.shared_buffer,
        })
    }

    /// The same over some of the keys, for [`Merge`](super::Merge) to put together: out is this view's.
    pub(super) fn partial(self, out: &View) -> Self {
        let values = self.values.map(|[v, _]| [v, Access::of(out, false)]);
        Self { values, sinks: false, lse: false, state: true, partial: true, ..self }
    }

    pub(super) const fn head_dim(&self) -> u32 {
        self.head_dim
    }

    pub(super) const fn value_dim(&self) -> u32 {
        self.value_dim
    }

    pub(super) const fn has_values(&self) -> bool {
        self.values.is_some()
    }

    /// Everything but the algorithm itself, which is yet to be joined.
    pub(super) fn text(&self, workgroup: Workgroup, lanes: Lanes) -> Text {
        let text = lanes.constants(Text::new(self.shared_buffer));
        let text = text.constant("HEAD_DIM", self.head_dim).constant("VALUE_DIM", self.value_dim);
        let mut text = self.scoring.join(text.flag("PARTIAL", self.partial), workgroup);
        text = text.load("q", 1, self.q, "HEAD_DIM").load("k", 2, self.k, "HEAD_DIM");
        text = match self.values {
            Some([v, out]) => text.load("v", 3, v, "VALUE_DIM").store_out(out),
            None => text.join(&[NO_V, NO_OUT]),
        };
        if self.scoring.reads_workspace() || self.sinks || self.state {
            text = text.join(&[WORKSPACE]);
        }
        text.join(&[
            LANES,
            PAIRS,
            if self.sinks { SINKS } else { NO_SINKS },
            SOFTMAX_ROW,
            if self.lse { LSE } else { NO_LSE },
            if self.state { STATE } else { NO_STATE },
            FINISH,
        ])
    }

    /// How it reads and writes tensors, in words.
    pub(super) fn loads(&self) -> String {
        let values = self.values.map(|[v, out]| format!("; v {}; out {}", v.words(), out.words()));
        format!("q {}; k {}{}", self.q.words(), self.k.words(), values.unwrap_or_default())
    }
}
