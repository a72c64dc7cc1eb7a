//! Classify: which tiles the masks in memory and the bias empty, and in which they do nothing. Shader `shaders/helpers/classify.wgsl`.

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        scoring::Scoring,
        workgroup::{Needs, ONE_EACH, Shader, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::{slot::Slot, source::Source, text::Text},
};

/// A classify kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classify {
    scoring: Scoring,
    /// The tiles of the kernel that will read the classes.
    tiles: Workgroup,
    shared_buffer: bool,
}

impl Classify {
    /// Its name.
    pub const NAME: &'static str = "classify";

    /// The kernel that classifies the tiles of a kernel with such a workgroup, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps, tiles: Workgroup) -> Result<Self, Error> {
        spec.check()?;
        let refused = |because| Err(Error::Kernel { kernel: Self::NAME, because });
        if !spec.is_masked() {
            return refused("there is neither a bias nor a keep-mask nor a block mask".into());
        }
        if ONE_EACH.invocations > caps.invocations {
            let (needs, has) = (ONE_EACH.invocations, caps.invocations);
            return refused(format!("it needs {needs} invocations, the device has {has}"));
        }
        let scoring = Scoring::of(spec).masks();
        let scoring = if tiles.grouped { scoring.grouped(spec, tiles.rows) } else { scoring };
        // Equal tiles are equal kernels, whatever else their readers take.
        let bytes = 4 * (ONE_EACH.invocations + 16) + scoring.shared_bytes();
        let tiles = Workgroup { invocations: ONE_EACH.invocations, bytes, ..tiles };
        Ok(Self { scoring, tiles, shared_buffer: spec.shared_buffer })
    }
}

impl Shader for Classify {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/helpers/classify.wgsl");
        let text = Text::new(self.shared_buffer).flag("PAIRED", self.scoring.is_paired());
        let slots = self.scoring.slots().into_iter().chain([Slot::Classes]);
        self.scoring.join(text, self.tiles).workspace(slots).join(&[MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn workgroup(&self) -> Workgroup {
        self.tiles
    }

    fn loads(&self) -> String {
        "masks and bias, one at a time".into()
    }
}
