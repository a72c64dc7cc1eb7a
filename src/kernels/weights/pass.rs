//! What the kernels of a second look at the pairs have in common, once the softmax of each row is known.

use crate::{
    caps::{Caps, DeviceKind},
    error::Error,
    kernels::{
        forward::{
            register_tile::{Arrays, RegisterTile},
            row::MAX_DIM,
        },
        lanes::Lanes,
        scoring::Scoring,
        workgroup::{Needs, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::{access::Access, params::Params, parts, slot::Slot, text::Text},
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
pub(crate) struct WeightsPass {
    pairs: Pairs,
    head_dim: u32,
    scoring: Scoring,
    q: Access,
    k: Access,
    shared_buffer: bool,
}

impl WeightsPass {
    pub(crate) fn new(kernel: &'static str, spec: &Spec, caps: &Caps, scoring: Scoring) -> Result<Self, Error> {
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
        let [q, k] = [spec.q_view(), spec.k_view()].map(|view| Access::of(&view, caps.f16 && !rows));
        Ok(Self { pairs, head_dim, scoring, q, k, shared_buffer: spec.shared_buffer })
    }

    pub(crate) const fn lanes(&self) -> Lanes {
        match self.pairs {
            Pairs::Tile(tile) => tile.lanes(),
            Pairs::Rows(lanes, _) => lanes,
        }
    }

    /// Its workgroup, which takes `bytes` of workgroup memory beside what scores take.
    pub(crate) fn workgroup(&self, bytes: u32) -> Workgroup {
        let workgroup = match self.pairs {
            Pairs::Tile(tile) => tile.workgroup(),
            Pairs::Rows(Lanes { ty, rm, rn, .. }, _) => {
                let bytes = self.scoring.shared_bytes();
                Workgroup { invocations: ty, bytes, rows: ty * rm, keys: rn, grouped: false }
            }
        };
        Workgroup { bytes: workgroup.bytes + bytes, ..workgroup }
    }

    pub(crate) fn loops(&self, params: Params) -> Params {
        match &self.pairs {
            Pairs::Tile(tile) => tile.loops(self.head_dim, params),
            Pairs::Rows(..) => params,
        }
    }

    /// Everything but what is done with the scores; `states` of rows are read, and these small inputs.
    pub(crate) fn text(&self, states: bool, others: &[Tensor]) -> Text {
        let text = self.lanes().constants(Text::new(self.shared_buffer)).constant("HEAD_DIM", self.head_dim);
        let mut text = self.scoring.join(text, self.workgroup(0));
        text = text.load(Tensor::Q, self.q, "HEAD_DIM").load(Tensor::K, self.k, "HEAD_DIM");
        let mut slots = self.scoring.slots();
        slots.extend(states.then_some(Slot::States));
        slots.extend(others.iter().copied().map(Slot::Of));
        if !slots.is_empty() {
            text = text.workspace(slots);
        }
        if states {
            text = text.join(&[parts::STATE]);
        }
        let text = text.join(&[parts::LANES, parts::KEY_ROW, parts::PAIRS]);
        match self.pairs {
            Pairs::Tile(tile) => tile.constants(text).join(&[parts::ROW_ALONE, parts::TILE_SCORES]),
            Pairs::Rows(_, 0) => text.constant("SHARED_KEYS", 2).join(&[parts::ROW_ALONE, parts::ROW_SCORES]),
            Pairs::Rows(_, keys) => text.constant("SHARED_KEYS", keys).join(&[parts::ROW_SHUFFLE, parts::ROW_SCORES]),
        }
    }

    pub(crate) fn needs(&self) -> Needs {
        let subgroups = matches!(self.pairs, Pairs::Rows(_, neighbours) if neighbours > 0);
        Needs { subgroups, ..Needs::of([self.q, self.k]) }
    }

    pub(crate) fn loads(&self) -> String {
        format!("q {}; k {}", self.q.words(), self.k.words())
    }
}
