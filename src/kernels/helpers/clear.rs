//! Clear: what measures add to. Shader `shaders/helpers/clear.wgsl`.

use crate::{
    kernels::workgroup::{Needs, ONE_EACH, Shader, Workgroup},
    shader::{
        slot::Slot,
        source::Source,
        text::{Text, Use},
    },
};

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

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/helpers/clear.wgsl");
        Text::new(false).array(Slot::Cleared, Use::Write, "u32").join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn workgroup(&self) -> Workgroup {
        ONE_EACH
    }

    fn loads(&self) -> String {
        "words".into()
    }
}
