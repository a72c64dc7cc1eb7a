//! Rotary: rows turned by a rotary embedding, copied, or appended to a cache. Shader `shaders/rotary.wgsl`, oracle
//! [`reference::rope`](crate::reference::rope).

use super::{LINEAR, Shader, Workgroup};
use crate::{
    caps::Caps,
    error::Error,
    rope::{Angles, Pairs, Rope, Rotary as Turn},
    shader::{
        ANGLES, ANGLES_APPENDED, ANGLES_IDS, ANGLES_ROWS, Access, HEADS, KV_LENS, NO_ANGLES, PARAMS, TO_CACHE, TO_SAME,
        Text,
    },
    tensor::Tensor,
    view::View,
};

/// A rotary kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotary {
    /// Elements of a row.
    dim: u32,
    from: Access,
    to: Access,
    turn: Option<Turn>,
    appends: bool,
    shared_buffer: bool,
}

impl Rotary {
    /// Its name.
    pub const NAME: &'static str = "rotary";

    /// The kernel for a rotation alone, or why there is none.
    pub fn new(rope: &Rope, caps: &Caps) -> Result<Self, Error> {
        rope.check()?;
        let (Some(from), Some(to)) = (rope.view(Tensor::Q), rope.view(Tensor::Out)) else {
            return Err(Error::NoOutput); // every rotation has both
        };
        let kernel = Self::append(&from, &to, Some(rope.rotary), caps, rope.shared_buffer);
        Ok(Self { appends: false, ..kernel })
    }

    /// The kernel that appends rows to a cache.
    pub(super) fn append(from: &View, to: &View, turn: Option<Turn>, caps: &Caps, shared_buffer: bool) -> Self {
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

impl Shader for Rotary {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/rotary.wgsl");
        let mut text = Text::new(self.shared_buffer).constant("HEAD_DIM", self.dim).constant("VALUE_DIM", self.dim);
        let angles = self.turn.map(|turn| match turn.angles {
            Angles::Appended { .. } => ANGLES_APPENDED,
            Angles::Ids { .. } => ANGLES_IDS,
            Angles::Rows => ANGLES_ROWS,
        });
        if let (Some(turn), Some(angles)) = (self.turn, angles) {
            text = text.constant("ROTARY_DIM", turn.dim).flag("INTERLEAVED", turn.pairs == Pairs::Interleaved);
            text = text.join(&[ANGLES, angles]);
        } else {
            text = text.join(&[NO_ANGLES]);
        }
        if self.appends || angles == Some(ANGLES_APPENDED) {
            text = text.join(&[KV_LENS]);
        }
        text = text.load("q", 1, self.from, "HEAD_DIM").store_out(self.to);
        text.join(&[PARAMS, HEADS, if self.appends { TO_CACHE } else { TO_SAME }, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        LINEAR
    }

    fn loads(&self) -> String {
        format!("rows {}; out {}", self.from.words(), self.to.words())
    }
}
