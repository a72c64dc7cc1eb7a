//! Locate: keys with what a convolution of the previous weights finds at their places. Shader `shaders/locate.wgsl`, oracle
//! [`reference::locate`](crate::reference::locate).

use super::{
    Kernel, Shader, Workgroup,
    program::{Builder, over, place},
    region::{Axis, Operand, Region, Span, cut},
};
use crate::{
    caps::Caps,
    error::Error,
    locate::Locate as Problem,
    params::Params,
    shader::{Access, HEADS, PARAMS, Text},
    tensor::Tensor,
};

const THREADS: u32 = 64;

/// Keys of a block: what 512 filters find of them takes 16 KiB.
const KEYS: u32 = 8;

/// A locate kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Locate {
    dim: u32,
    channels: u32,
    k: Access,
    out: Access,
    shared_buffer: bool,
}

impl Locate {
    /// Its name.
    pub const NAME: &'static str = "locate";

    /// The kernel for a problem, or why there is none.
    pub fn new(locate: &Problem, caps: &Caps) -> Result<Self, Error> {
        locate.check()?;
        let access = |tensor| locate.view(tensor).map(|view| Access::of(&view, caps.f16));
        let (Some(k), Some(out)) = (access(Tensor::K), access(Tensor::Out)) else {
            return Err(Error::NoOutput); // every problem has both
        };
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

impl Shader for Locate {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/locate.wgsl");
        let text = Text::new(self.shared_buffer).constant("HEAD_DIM", self.dim).constant("VALUE_DIM", self.dim);
        let text = text.constant("CHANNELS", self.channels).constant("KEYS", KEYS);
        text.load("k", 2, self.k, "HEAD_DIM").store_out(self.out).join(&[PARAMS, HEADS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { invocations: THREADS, bytes: 4 * KEYS * self.channels, rows: KEYS, keys: 0, grouped: false }
    }

    fn loads(&self) -> String {
        format!("k {}; out {}", self.k.words(), self.out.words())
    }
}

impl Builder<'_> {
    /// Keys with what filters find.
    pub(super) fn locate(&mut self, locate: &Problem) -> Result<(), Error> {
        let kernel = Kernel::Locate(Locate::new(locate, self.caps)?);
        let [b, h, r] = [Axis::Batch, Axis::Heads, Axis::Rows].map(|axis| Span::Along(axis, 0));
        let [batch, heads, kv_len, dim] = locate.sizes();
        let mut operands = Vec::new();
        for view in crate::problem::Problem::from(locate).views() {
            let spans = match view.tensor {
                Tensor::K | Tensor::Out => [b, h, r, Span::Whole],
                // A filter reaches past the keys of a piece.
                Tensor::Previous => [b, if view.sizes[1] > 1 { h } else { Span::Whole }, Span::Whole, Span::Whole],
                _ => [Span::Whole; 4],
            };
            operands.push(Operand { binding: view.tensor.name(), view, spans });
        }
        let one = locate.view(Tensor::Previous).is_some_and(|view| view.sizes[1] == 1);
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..kv_len, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let windows = self.windows(&operands, &region);
            let place = |binding| place(&operands, &windows, binding);
            let blocks = (region.rows.len() as u64).div_ceil(KEYS.into());
            let mut params = Params {
                k_at: place("k"),
                out_at: place("out"),
                weights_at: place("previous"),
                kv_len,
                channels: locate.channels,
                filter_width: locate.width,
                group: 1,
                blocks: blocks as u32,
                ..over(&region, Params::default())
            };
            if one {
                params.weights_at[2] = 0;
            }
            let items = blocks * (region.heads.len() * region.batch.len()) as u64;
            let flops = 2 * u64::from(KEYS) * u64::from(locate.channels) * (u64::from(locate.width) + u64::from(dim));
            self.dispatch(kernel, windows, params, items, flops)?;
        }
        Ok(())
    }
}
