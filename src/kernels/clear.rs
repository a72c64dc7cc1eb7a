//! Clear: what measures add to. Shader `shaders/clear.wgsl`.

use super::{LINEAR, Shader, Workgroup};
use crate::shader::{PARAMS, Text};

/// A clear kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clear;

impl Clear {
    /// Its name.
    pub const NAME: &'static str = "clear";
}

impl Shader for Clear {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/clear.wgsl");
        Text::new(false).join(&[PARAMS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        LINEAR
    }

    fn loads(&self) -> String {
        "words".into()
    }
}
