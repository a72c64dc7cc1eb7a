//! Prefill: attention in one pass over the keys, a block of query rows per workgroup. Shader `shaders/prefill.wgsl`, twin
//! [`reference::tiled`](crate::reference::tiled).

use super::{
    Shader, Workgroup,
    scoring::Scoring,
    tile::{Arrays, Tile},
};
use crate::{
    caps::Caps,
    error::Error,
    params::Params,
    shader::{
        Access, LSE, NO_LSE, NO_OUT, NO_SINKS, NO_STATE, NO_VALUES, SINKS, SOFTMAX_ROW, STATE, TILE_PAIRS, TILE_SCORES,
        TILE_VALUES, Text, WORKSPACE,
    },
    spec::Spec,
    tensor::Tensor,
    view::View,
};

/// A prefill kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefill {
    tile: Tile,
    head_dim: u32,
    scoring: Scoring,
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

impl Prefill {
    /// Its name.
    pub const NAME: &'static str = "prefill";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        spec.check()?;
        let scoring = Scoring::of(spec);
        let arrays = Arrays { scores: true, values: spec.out, rows: true, invocations: false };
        let access = |tensor| spec.view(tensor).map(|view| Access::of(&view, caps.f16));
        let (Some(q), Some(k), v) = (access(Tensor::Q), access(Tensor::K), access(Tensor::V)) else {
            return Err(Error::NoOutput); // every spec has q and k
        };
        Ok(Self {
            tile: Tile::choose(Self::NAME, spec, caps)?.with(arrays, scoring.shared_bytes()),
            head_dim: spec.shape().head_dim,
            scoring,
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

    /// The parameters of the loops of its tile, which the other kernels of the problem share.
    pub(super) fn loops(&self) -> Params {
        self.tile.loops(self.head_dim)
    }

    /// The same over some of the keys, for [`Merge`](super::Merge) to put together: out is this view's.
    pub(super) fn partial(self, out: &View) -> Self {
        let values = self.values.map(|[v, _]| [v, Access::of(out, false)]);
        Self { values, sinks: false, lse: false, state: true, partial: true, ..self }
    }
}

impl Shader for Prefill {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/prefill.wgsl");
        let mut text = Text::new(self.shared_buffer).constant("HEAD_DIM", self.head_dim).flag("PARTIAL", self.partial);
        text = self.scoring.join(self.tile.constants(text));
        text = text.load("q", 1, self.q, "HEAD_DIM").load("k", 2, self.k, "HEAD_DIM");
        text = match self.values {
            Some([v, out]) => text.load("v", 3, v, "VALUE_DIM").store_out(out).join(&[TILE_VALUES]),
            None => text.join(&[NO_OUT, NO_VALUES]),
        };
        if self.scoring.reads_workspace() || self.sinks || self.state {
            text = text.join(&[WORKSPACE]);
        }
        let parts = [
            if self.sinks { SINKS } else { NO_SINKS },
            SOFTMAX_ROW,
            if self.lse { LSE } else { NO_LSE },
            if self.state { STATE } else { NO_STATE },
            TILE_SCORES,
            TILE_PAIRS,
            MAIN,
        ];
        text.join(&parts).finish()
    }

    fn workgroup(&self) -> Workgroup {
        self.tile.workgroup()
    }

    fn loads(&self) -> String {
        let values = self.values.map(|[v, out]| format!("; v {}; out {}", v.words(), out.words()));
        format!("q {}; k {}{}", self.q.words(), self.k.words(), values.unwrap_or_default())
    }
}
