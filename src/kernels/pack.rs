//! Pack: a small input into the workspace. Shader `shaders/pack.wgsl`.

use super::{LINEAR, Shader, Workgroup};
use crate::shader::{PARAMS, Text, WORKSPACE};

/// A pack kernel, which every device can run. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pack {
    pub(super) shared_buffer: bool,
}

impl Pack {
    /// Its name.
    pub const NAME: &'static str = "pack";
}

impl Shader for Pack {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/pack.wgsl");
        Text::new(self.shared_buffer).join(&[PARAMS, WORKSPACE, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        LINEAR
    }

    fn loads(&self) -> String {
        "word by word".into()
    }
}
