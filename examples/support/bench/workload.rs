//! The problems that are timed.

use wgpu_attention::{Activation, Align, DType, Linear, Mask, Norm, Problem, Shape, Spec, Tensor};

/// A problem by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    work: Work,
    pub(crate) dtype: DType,
}

/// What a workload computes.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Attention, of all keys or causal.
    Attention { shape: Shape, causal: bool },
    /// A linear layer with bias and GELU: rows, inputs, outputs.
    Linear([u32; 3]),
    /// A layer normalisation of `x + residual`: rows, dim.
    Norm([u32; 2]),
}

/// Those for any device, and those for large GPUs. Sizes as in a row of the tables in benches/README.md.
pub(crate) const ALL: [Workload; 21] = [
    full("P1", [1, 8, 8, 512, 512, 64]),
    causal("P2", [1, 8, 8, 1024, 1024, 64]),
    causal("P3", [1, 8, 2, 1024, 1024, 128]),
    full("P4", [1, 32, 8, 1, 4096, 128]),
    causal("P5", [1, 2, 2, 4096, 4096, 64]),
    full("P6", [2, 8, 8, 128, 1500, 64]),
    full("P7", [1, 12, 12, 16, 16, 64]),
    causal("G1", [4, 32, 8, 4096, 4096, 128]).half(),
    causal("G1", [4, 32, 8, 4096, 4096, 128]),
    causal("G2", [1, 32, 32, 16384, 16384, 128]).half(),
    full("G3", [64, 32, 8, 1, 8192, 128]).half(),
    full("G4", [8, 16, 16, 2048, 2048, 64]).half(),
    full("G4", [8, 16, 16, 2048, 2048, 64]),
    causal("G5", [1, 1, 1, 65536, 65536, 64]).half(),
    linear("L1", [16, 384, 1536]),
    linear("L2", [512, 768, 3072]),
    linear("L3", [1, 4096, 4096]),
    norm("N1", [512, 768]),
    linear("GL", [4096, 4096, 4096]).half(),
    linear("GL", [4096, 4096, 4096]),
    norm("GN", [16384, 4096]),
];

const fn full(name: &'static str, sizes: [u32; 6]) -> Workload {
    of_attention(name, sizes, false)
}

const fn causal(name: &'static str, sizes: [u32; 6]) -> Workload {
    of_attention(name, sizes, true)
}

const fn of_attention(name: &'static str, sizes: [u32; 6], causal: bool) -> Workload {
    let [batch, q_heads, kv_heads, q_len, kv_len, dim] = sizes;
    let shape = Shape { batch, q_heads, kv_heads, q_len, kv_len, head_dim: dim, value_dim: dim };
    Workload { name, work: Work::Attention { shape, causal }, dtype: DType::F32 }
}

const fn linear(name: &'static str, sizes: [u32; 3]) -> Workload {
    Workload { name, work: Work::Linear(sizes), dtype: DType::F32 }
}

const fn norm(name: &'static str, sizes: [u32; 2]) -> Workload {
    Workload { name, work: Work::Norm(sizes), dtype: DType::F32 }
}

impl Workload {
    const fn half(self) -> Self {
        Self { dtype: DType::F16, ..self }
    }

    /// The name, if there is such a workload; or which there are.
    pub(crate) fn named(name: &str) -> Result<&'static str, String> {
        let known = || {
            let mut names: Vec<_> = ALL.map(|workload| workload.name).into();
            names.dedup();
            names.join(", ")
        };
        let found = ALL.iter().find(|workload| workload.name == name);
        found.map(|workload| workload.name).ok_or_else(|| format!("no shape {name:?}; there are: {}", known()))
    }

    /// Whether it is attention, which several kernels compute, and not a layer.
    pub(crate) fn is_attention(&self) -> bool {
        matches!(self.work, Work::Attention { .. })
    }

    /// Whether it asks for a large GPU.
    pub(crate) fn is_large(&self) -> bool {
        self.name.starts_with('G')
    }

    /// What to compute: causal masks stand aligned at the end. Every tensor that may be is in the workload's type.
    pub(crate) fn problem(&self) -> Problem {
        match self.work {
            Work::Attention { shape, causal } => attention(shape, causal, Align::End, self.dtype).into(),
            Work::Linear([rows, ..]) | Work::Norm([rows, _]) => self.first_rows(rows),
        }
    }

    /// Row `i` of any head of attention, as a problem of its own with one query; `None` for a layer.
    pub(crate) fn query(&self, i: u32) -> Option<Spec> {
        let Work::Attention { shape, causal } = self.work else { return None };
        let end = Align::End.offset(shape.q_len, shape.kv_len);
        let one = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, ..shape };
        Some(attention(one, causal, Align::At((end + i64::from(i)) as i32), self.dtype))
    }

    /// A layer over so many rows, which do not know of each other; attention is the whole of it.
    pub(crate) fn first_rows(&self, rows: u32) -> Problem {
        let dtype = self.dtype;
        match self.work {
            Work::Attention { .. } => self.problem(),
            Work::Linear([_, inputs, outputs]) => {
                let layer = Linear::new(rows, inputs, outputs).bias().activation(Activation::Gelu);
                layer.x_type(dtype).weight_type(dtype).out_type(dtype).into()
            }
            Work::Norm([_, dim]) => Norm::layer(rows, dim, 1e-5).residual().x_type(dtype).out_type(dtype).into(),
        }
    }

    /// How far random elements of an input reach from 0. Scores then have a standard deviation of 4/3, and sums of a linear
    /// layer one of about a half.
    pub(crate) fn reach(&self, tensor: Tensor) -> f32 {
        match (tensor, self.work) {
            (Tensor::Q | Tensor::K, _) => 2.0,
            (Tensor::Weight, Work::Linear([_, inputs, _])) => 1.5 / (inputs as f32).sqrt(),
            _ => 1.0,
        }
    }

    /// Floating-point operations: `2 * (head_dim + value_dim)` for each query and each key that it sees, `2 * inputs` for each
    /// element of a linear layer; `None` for a normalisation, whose time is that of moving its rows.
    ///
    /// These are the matrix products. Softmax and activation are not counted, nor is what a kernel computes of hidden pairs, so
    /// causal work on n queries and n keys counts n (n + 1) / 2 pairs a head, about half.
    pub(crate) fn flops(&self) -> Option<f64> {
        match self.work {
            Work::Attention { shape, causal } => {
                let band = attention(shape, causal, Align::End, self.dtype).band();
                let pairs: u64 = (0..shape.q_len).map(|i| band.keys(i, shape.kv_len).len() as u64).sum();
                let heads = u64::from(shape.batch) * u64::from(shape.q_heads);
                let dims = u64::from(shape.head_dim) + u64::from(shape.value_dim);
                Some(2.0 * dims as f64 * (heads * pairs) as f64)
            }
            Work::Linear(sizes) => Some(2.0 * sizes.map(f64::from).iter().product::<f64>()),
            Work::Norm(_) => None,
        }
    }
}

fn attention(shape: Shape, causal: bool, align: Align, dtype: DType) -> Spec {
    let spec = Spec::new(shape).q_type(dtype).kv_type(dtype).out_type(dtype);
    if causal { spec.mask(Mask::causal()).align(align) } else { spec }
}

/// Bytes of all tensors, each once: the least that a kernel moves.
pub(crate) fn bytes(problem: &Problem) -> f64 {
    problem.views().filter_map(|view| view.bytes().ok()).sum::<u64>() as f64
}
