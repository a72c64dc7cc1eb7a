//! Pack: a small input into the workspace. Shader `shaders/helpers/pack.wgsl`.

use crate::{
    kernels::workgroup::{Needs, ONE_EACH, Shader, Workgroup},
    shader::{
        slot::Slot,
        source::Source,
        text::{Text, Use},
    },
};

/// A pack kernel, which every device can run. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pack {
    pub(crate) shared_buffer: bool,
}

impl Pack {
    /// Its name.
    pub const NAME: &'static str = "pack";
}

impl Shader for Pack {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/helpers/pack.wgsl");
        let text = Text::new(self.shared_buffer).array(Slot::Small, Use::Read, "u32").workspace([]);
        text.join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn workgroup(&self) -> Workgroup {
        ONE_EACH
    }

    fn loads(&self) -> String {
        "word by word".into()
    }
}
