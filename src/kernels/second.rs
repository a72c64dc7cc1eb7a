//! What the kernels of a second look at the pairs have in common, once the softmax of each row is known.

use super::{
    Workgroup,
    forward::Lanes,
    register_tile::{Arrays, RegisterTile},
    row::MAX_DIM,
    scoring::Scoring,
};
use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    params::Params,
    shader::{Access, LANES, PAIRS, ROW_ALONE, ROW_SCORES, ROW_SHUFFLE, STATE, TILE_SCORES, Text, WORKSPACE},
    spec::Spec,
    tensor::Tensor,
};

const ARRAYS: Arrays = Arrays { scores: true, values: false, rows: false };

/// How pairs are scored: as `tile` does, or as `row` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pairs {
    Tile(RegisterTile),
    /// Rows in registers; keys that neighbours in a subgroup load for each other, or 0.
    Rows(Lanes, u32),
}

/// One look at every pair of a block of rows and the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Second {
    pairs: Pairs,
    head_dim: u32,
    scoring: Scoring,
    q: Access,
    k: Access,
    shared_buffer: bool,
}

impl Second {
    pub(super) fn new(kernel: &'static str, spec: &Spec, caps: &Caps, scoring: Scoring) -> Result<Self, Error> {
        spec.check_values()?;
        let head_dim = spec.shape().head_dim;
        let cpu = caps.kind == DeviceKind::Cpu;
        let rows = cpu && head_dim <= MAX_DIM[0] && caps.invocations >= 16;
        let pairs = if rows {
            let rm = if caps.unrolls { 2 } else { 1 };
            Pairs::Rows(Lanes { tx: 1, ty: 16, rm, rn: 16 }, caps.neighbours())
        } else {
            Pairs::Tile(RegisterTile::choose(kernel, spec, caps)?.with(ARRAYS, scoring.shared_bytes()))
        };
        // As in `row`.
        let f16 = caps.f16 && !rows;
        let access = |tensor| spec.view(tensor).map(|view| Access::of(&view, f16));
        let (Some(q), Some(k)) = (access(Tensor::Q), access(Tensor::K)) else {
            return Err(Error::NoOutput); // every spec has q and k
        };
        Ok(Self { pairs, head_dim, scoring, q, k, shared_buffer: spec.shared_buffer })
    }

    pub(super) const fn lanes(&self) -> Lanes {
        match self.pairs {
            Pairs::Tile(tile) => tile.lanes(),
            Pairs::Rows(lanes, _) => lanes,
        }
    }

    /// Its workgroup, with so many bytes of workgroup memory beside what scores take.
    pub(super) fn workgroup(&self, bytes: u32) -> Workgroup {
        let workgroup = match self.pairs {
            Pairs::Tile(tile) => tile.workgroup(),
            Pairs::Rows(Lanes { ty, rm, rn, .. }, _) => {
                let bytes = self.scoring.shared_bytes();
                Workgroup { invocations: ty, bytes, rows: ty * rm, keys: rn, grouped: false }
            }
        };
        Workgroup { bytes: workgroup.bytes + bytes, ..workgroup }
    }

    pub(super) fn loops(&self, params: Params) -> Params {
        match &self.pairs {
            Pairs::Tile(tile) => tile.loops(self.head_dim, params),
            Pairs::Rows(..) => params,
        }
    }

    /// Everything but what is done with the scores; `states` of rows are read.
    pub(super) fn text(&self, states: bool) -> Text {
        let text = self.lanes().constants(Text::new(self.shared_buffer)).constant("HEAD_DIM", self.head_dim);
        let mut text = self.scoring.join(text, self.workgroup(0));
        text = text.load("q", 1, self.q, "HEAD_DIM").load("k", 2, self.k, "HEAD_DIM");
        if self.scoring.reads_workspace() || states {
            text = text.join(&[WORKSPACE]);
        }
        if states {
            text = text.join(&[STATE]);
        }
        let text = text.join(&[LANES, PAIRS]);
        match self.pairs {
            Pairs::Tile(tile) => tile.constants(text).join(&[ROW_ALONE, TILE_SCORES]),
            Pairs::Rows(_, 0) => text.constant("SHARED_KEYS", 2).join(&[ROW_ALONE, ROW_SCORES]),
            Pairs::Rows(_, keys) => text.constant("SHARED_KEYS", keys).join(&[ROW_SHUFFLE, ROW_SCORES]),
        }
    }

    pub(super) fn loads(&self) -> String {
        format!("q {}; k {}", self.q.words(), self.k.words())
    }
}
