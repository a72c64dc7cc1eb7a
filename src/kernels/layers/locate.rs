//! Locate: keys with what a convolution of the previous weights finds at their places. Shader `shaders/layers/locate.wgsl`, oracle
//! [`reference::locate`](crate::reference::locate).

use crate::{
    caps::Caps,
    error::Error,
    kernels::workgroup::{Needs, Shader, Workgroup},
    problem::locate::Locate,
    shader::{
        access::Access,
        parts,
        source::Source,
        text::{Text, Use},
    },
    tensor::Tensor,
};

const THREADS: u32 = 64;

/// Keys of a block: what 512 filters find of them takes 16 KiB.
pub(crate) const KEYS: u32 = 8;

/// A locate kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocateKernel {
    dim: u32,
    channels: u32,
    k: Access,
    out: Access,
    shared_buffer: bool,
}

impl LocateKernel {
    /// Its name.
    pub const NAME: &'static str = "locate";

    /// The kernel for a problem, or why there is none.
    pub fn new(locate: &Locate, caps: &Caps) -> Result<Self, Error> {
        locate.check()?;
        let [k, out] = [locate.k_view(), locate.out_view()].map(|view| Access::of(&view, caps.f16));
        let [.., dim] = locate.sizes();
        let kernel = Self { dim, channels: locate.channels, k, out, shared_buffer: locate.shared_buffer };
        let Workgroup { invocations, bytes, .. } = kernel.workgroup();
        if invocations > caps.invocations || bytes > caps.workgroup_bytes {
            let because = format!(
                "it needs {invocations} invocations and {bytes} bytes of workgroup memory, the device has {} and {}",
                caps.invocations, caps.workgroup_bytes
            );
            return Err(Error::Kernel { kernel: Self::NAME, because });
        }
        Ok(kernel)
    }
}

impl Shader for LocateKernel {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/layers/locate.wgsl");
        let text = Text::new(self.shared_buffer).constant("HEAD_DIM", self.dim).constant("VALUE_DIM", self.dim);
        let text = text.constant("CHANNELS", self.channels).constant("KEYS", KEYS);
        let given = [Tensor::Previous, Tensor::Filters, Tensor::FilterWeights];
        let text = given.into_iter().fold(text, |text, tensor| text.tensor(tensor, Use::Read, "f32"));
        text.load(Tensor::K, self.k, "HEAD_DIM").store_out(self.out).join(&[parts::HEADS, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::of([self.k, self.out])
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { invocations: THREADS, bytes: 4 * KEYS * self.channels, rows: KEYS, keys: 0, grouped: false }
    }

    fn loads(&self) -> String {
        format!("k {}; out {}", self.k.words(), self.out.words())
    }
}
