//! Softmax: the second of three stages, scores into weights in place. Shader `shaders/softmax.wgsl`.

use super::{Shader, Workgroup};
use crate::{
    caps::Caps,
    error::Error,
    shader::{PARAMS, Parts, SCORE, SOFTMAX_ROW, WEIGHTS},
    shape::Shape,
    spec::Spec,
};

/// A softmax kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    parts: Parts,
    threads: u32,
}

impl Softmax {
    /// Its name.
    pub const NAME: &'static str = "softmax";

    /// The kernel for `spec`, or why there is none.
    pub fn new(spec: &Spec, caps: &Caps) -> Result<Self, Error> {
        spec.check()?;
        // A power of two, for the halving reduction; more than there are keys would idle.
        let most = caps.invocations.min(caps.workgroup_bytes / 4).min(256);
        if most == 0 {
            return Err(Error::Kernel { kernel: Self::NAME, because: "the device runs no compute shaders".into() });
        }
        let threads = spec.shape().kv_len.next_power_of_two().clamp(1, 1 << most.ilog2());
        Ok(Self { parts: Parts::of(spec).only_lse(), threads })
    }
}

impl Shader for Softmax {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/softmax.wgsl");
        let text = self.parts.text().constant("THREADS", self.threads);
        text.join(&[PARAMS, SCORE, SOFTMAX_ROW, self.parts.lse(), WEIGHTS, MAIN])
    }

    fn workgroup(&self) -> Workgroup {
        Workgroup { invocations: self.threads, bytes: 4 * self.threads, rows: 1, keys: 0 }
    }

    fn flops_per_pair(&self, _: &Shape) -> u64 {
        16 // it moves five words a pair; counted as what the other kernels compute in that time
    }

    fn loads(&self) -> &'static str {
        "one element at a time"
    }
}
