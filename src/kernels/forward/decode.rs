//! Decode: few query rows against many keys, each of which is read once for all heads that share it. Shader
//! `shaders/forward/decode.wgsl`, twin [`reference::tiled`](crate::reference::tiled).

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        forward::pass::ForwardPass,
        lanes::Lanes,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::attention::spec::Spec,
    shader::{parts, source::Source},
    tensor::view::View,
};

/// Invocations, and keys of a tile.
const THREADS: u32 = 64;

/// A decode kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decode {
    pass: ForwardPass,
    /// Query rows of a block.
    rows: u32,
}

impl Decode {
    /// Its name.
    pub const NAME: &'static str = "decode";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        let refused = |because| Err(Error::Kernel { kernel: Self::NAME, because });
        if THREADS > caps.invocations {
            return refused(format!("it needs {THREADS} invocations, the device has {}", caps.invocations));
        }
        let rows = u64::from(spec.shape().q_len) * u64::from(spec.heads_sharing());
        let mut kernel = Self { pass: ForwardPass::new(spec, caps, 8)?, rows: 8 };
        // No more rows than there are, than memory holds, or than 16 vec4 of output to an invocation.
        while kernel.rows > 1
            && (rows <= u64::from(kernel.rows / 2)
                || kernel.workgroup().bytes > caps.workgroup_bytes
                || kernel.rows * kernel.pass.value_dim().div_ceil(4 * kernel.columns()) > 16)
        {
            let rows = kernel.rows / 2;
            kernel = Self { pass: ForwardPass::new(spec, caps, rows)?, rows };
        }
        let bytes = kernel.workgroup().bytes;
        if bytes > caps.workgroup_bytes {
            return refused(format!(
                "it needs {bytes} bytes of workgroup memory, the device has {}",
                caps.workgroup_bytes
            ));
        }
        Ok(kernel)
    }

    pub(crate) fn partial(self, out: &View) -> Self {
        Self { pass: self.pass.partial(out), ..self }
    }

    /// Invocations that share a value row.
    fn columns(&self) -> u32 {
        self.pass.value_dim().div_ceil(4).next_power_of_two().min(THREADS)
    }
}

impl Shader for Decode {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/forward/decode.wgsl");
        let lanes = Lanes { tx: THREADS, ty: 1, rm: self.rows, rn: 1 };
        let text = self.pass.text(self.workgroup(), lanes);
        text.constant("COLUMNS", self.columns()).join(&[parts::FEW_ROWS, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        self.pass.needs()
    }

    fn workgroup(&self) -> Workgroup {
        let queries = 16 * self.rows * self.pass.head_dim().div_ceil(4);
        let bytes = queries + 4 * THREADS * (self.rows + 1) + 16 * THREADS + self.pass.scoring.shared_bytes();
        let grouped = self.pass.scoring.is_grouped();
        Workgroup { invocations: THREADS, bytes, rows: self.rows, keys: THREADS, grouped }
    }

    fn loads(&self) -> String {
        self.pass.loads()
    }
}
