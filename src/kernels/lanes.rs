//! How the invocations of a workgroup share a tile.

use crate::shader::text::Text;

/// How the invocations of a workgroup share a tile: `tx * ty` of them hold `rm` rows x `rn` keys each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lanes {
    pub(crate) tx: u32,
    pub(crate) ty: u32,
    pub(crate) rm: u32,
    pub(crate) rn: u32,
}

impl Lanes {
    pub(crate) fn constants(&self, text: Text) -> Text {
        text.constant("TX", self.tx).constant("TY", self.ty).constant("RM", self.rm).constant("RN", self.rn)
    }
}
