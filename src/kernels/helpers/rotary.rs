//! Rotary: rows turned by a rotary embedding, copied, or appended to a cache. Shader `shaders/helpers/rotary.wgsl`, oracle
//! [`reference::rope`](crate::reference::rope).

use crate::{
    caps::Caps,
    error::Error,
    kernels::workgroup::{Needs, ONE_EACH, Shader, Workgroup},
    problem::rope::{Angles, Pairs, Rope, Rotary as Turn},
    shader::{
        access::Access,
        parts,
        source::Source,
        text::{Text, Use},
    },
    tensor::{Tensor, view::View},
};

/// A rotary kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RotaryKernel {
    /// Elements of a row.
    dim: u32,
    from: Access,
    to: Access,
    turn: Option<Turn>,
    appends: bool,
    shared_buffer: bool,
}

impl RotaryKernel {
    /// Its name.
    pub const NAME: &'static str = "rotary";

    /// The kernel for a rotation alone, or why there is none.
    pub fn new(rope: &Rope, caps: &Caps) -> Result<Self, Error> {
        rope.check()?;
        Ok(Self::turn(&rope.q_view(), &rope.out_view(), rope.rotary, caps, rope.shared_buffer))
    }

    /// The kernel that turns rows into others at the same place.
    pub(crate) fn turn(from: &View, to: &View, turn: Turn, caps: &Caps, shared_buffer: bool) -> Self {
        Self { appends: false, ..Self::append(from, to, Some(turn), caps, shared_buffer) }
    }

    /// The kernel that appends rows to a cache.
    pub(crate) fn append(from: &View, to: &View, turn: Option<Turn>, caps: &Caps, shared_buffer: bool) -> Self {
        // How many positions there are is a parameter.
        let turn = turn.map(|turn| Turn {
            angles: match turn.angles {
                Angles::Appended { .. } => Angles::Appended { positions: 0 },
                Angles::Ids { .. } => Angles::Ids { positions: 0 },
                Angles::Rows => Angles::Rows,
            },
            ..turn
        });
        let [from_access, to_access] = [from, to].map(|view| Access::of(view, caps.f16));
        Self { dim: from.sizes[3], from: from_access, to: to_access, turn, appends: true, shared_buffer }
    }
}

impl Shader for RotaryKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/helpers/rotary.wgsl");
        let mut text = Text::new(self.shared_buffer).constant("HEAD_DIM", self.dim).constant("VALUE_DIM", self.dim);
        let angles = self.turn.map(|turn| match turn.angles {
            Angles::Appended { .. } => parts::ANGLES_APPENDED,
            Angles::Ids { .. } => parts::ANGLES_IDS,
            Angles::Rows => parts::ANGLES_ROWS,
        });
        if let (Some(turn), Some(angles)) = (self.turn, angles) {
            text = text.constant("ROTARY_DIM", turn.dim).flag("INTERLEAVED", turn.pairs == Pairs::Interleaved);
            text = text.tensor(Tensor::Cos, Use::Read, "f32").tensor(Tensor::Sin, Use::Read, "f32");
            if matches!(turn.angles, Angles::Ids { .. }) {
                text = text.tensor(Tensor::Positions, Use::Read, "u32");
            }
            text = text.join(&[parts::ANGLES, angles]);
        } else {
            text = text.join(&[parts::NO_ANGLES]);
        }
        if self.appends || angles == Some(parts::ANGLES_APPENDED) {
            text = text.tensor(Tensor::KvLens, Use::Read, "u32").join(&[parts::KV_LENS]);
        }
        text = text.load(Tensor::Q, self.from, "HEAD_DIM").store_out(self.to);
        text.join(&[parts::HEADS, if self.appends { parts::TO_CACHE } else { parts::TO_SAME }, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::of([self.from, self.to])
    }

    fn workgroup(&self) -> Workgroup {
        ONE_EACH
    }

    fn loads(&self) -> String {
        format!("rows {}; out {}", self.from.words(), self.to.words())
    }
}
