//! Top: the largest weights of each row and their keys. Shader `shaders/weights/top.wgsl`, oracle
//! [`reference::measures`](crate::reference::measures).

use crate::{
    caps::Caps,
    error::Error,
    kernels::{
        lanes::Lanes,
        scoring::Scoring,
        workgroup::{Needs, Shader, Workgroup},
    },
    problem::measures::Measures,
    shader::{
        access::Access,
        parts,
        slot::Slot,
        source::Source,
        text::{Text, Use},
    },
    tensor::Tensor,
};

/// Invocations, keys of a tile, and most places of a list.
const THREADS: u32 = 64;

/// Query rows of a block.
const ROWS: u32 = 4;

/// A top kernel that fits its device. Equal values are the same shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Top {
    top: u32,
    head_dim: u32,
    scoring: Scoring,
    q: Access,
    k: Access,
    shared_buffer: bool,
}

impl Top {
    /// Its name.
    pub const NAME: &'static str = "top";

    /// The kernel for these measures, or why there is none.
    pub fn new(measures: &Measures, caps: &Caps) -> Result<Self, Error> {
        let spec = measures.spec();
        let [q, k] = [spec.q_view(), spec.k_view()].map(|view| Access::of(&view, caps.f16));
        let (head_dim, shared_buffer) = (spec.shape().head_dim, spec.shared_buffer);
        let kernel = Self { top: measures.top, head_dim, scoring: Scoring::of(spec), q, k, shared_buffer };
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

impl Shader for Top {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> Source {
        const MAIN: &str = include_str!("../../../shaders/weights/top.wgsl");
        let lanes = Lanes { tx: THREADS, ty: 1, rm: ROWS, rn: 1 };
        let text = lanes.constants(Text::new(self.shared_buffer)).constant("HEAD_DIM", self.head_dim);
        let text = self.scoring.join(text.constant("TOP", self.top), self.workgroup());
        let text = text.load(Tensor::Q, self.q, "HEAD_DIM").load(Tensor::K, self.k, "HEAD_DIM");
        let text = text.tensor(Tensor::TopWeights, Use::Write, "f32").tensor(Tensor::TopKeys, Use::Write, "u32");
        let text = text.workspace(self.scoring.slots().into_iter().chain([Slot::States]));
        text.join(&[parts::STATE, parts::LANES, parts::KEY_ROW, parts::PAIRS, parts::FEW_ROWS, MAIN]).finish()
    }

    fn needs(&self) -> Needs {
        Needs::of([self.q, self.k])
    }

    fn workgroup(&self) -> Workgroup {
        let queries = 16 * ROWS * self.head_dim.div_ceil(4);
        let lists = 8 * self.top * ROWS;
        let bytes = queries + lists + 4 * ROWS * THREADS + self.scoring.shared_bytes();
        Workgroup { invocations: THREADS, bytes, rows: ROWS, keys: THREADS, grouped: false }
    }

    fn loads(&self) -> String {
        format!("q {}; k {}", self.q.words(), self.k.words())
    }
}
