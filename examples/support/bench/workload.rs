//! The problems that are timed.

use wgpu_attention::{Align, DType, Mask, Shape, Spec, Tensor};

/// A problem by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    shape: Shape,
    causal: bool,
    pub(crate) dtype: DType,
}

/// Those for any device, and those for large GPUs. Sizes as in a row of the table in benches/README.md.
pub(crate) const ALL: [Workload; 14] = [
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
];

const fn full(name: &'static str, sizes: [u32; 6]) -> Workload {
    let [batch, q_heads, kv_heads, q_len, kv_len, dim] = sizes;
    let shape = Shape { batch, q_heads, kv_heads, q_len, kv_len, head_dim: dim, value_dim: dim };
    Workload { name, shape, causal: false, dtype: DType::F32 }
}

const fn causal(name: &'static str, sizes: [u32; 6]) -> Workload {
    Workload { causal: true, ..full(name, sizes) }
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

    /// Whether it asks for a large GPU.
    pub(crate) fn is_large(&self) -> bool {
        self.name.starts_with('G')
    }

    /// What to compute: causal masks stand aligned at the end.
    pub(crate) fn spec(&self) -> Spec {
        self.spec_of(self.shape, Align::End)
    }

    /// Row `i` of any head, as a problem of its own with one query.
    pub(crate) fn row(&self, i: u32) -> Spec {
        let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, ..self.shape };
        let end = Align::End.offset(self.shape.q_len, self.shape.kv_len);
        self.spec_of(shape, Align::At((end + i64::from(i)) as i32))
    }

    fn spec_of(&self, shape: Shape, align: Align) -> Spec {
        let spec = Spec::new(shape).q_type(self.dtype).kv_type(self.dtype).out_type(self.dtype);
        if self.causal { spec.mask(Mask::causal()).align(align) } else { spec }
    }
}

/// Floating-point operations of a problem: `2 * (head_dim + value_dim)` for each query and each key that it sees.
///
/// That is the two matrix products. The softmax is not counted, nor is what a kernel computes of hidden pairs, so
/// causal work on n queries and n keys counts n (n + 1) / 2 pairs a head, about half.
pub(crate) fn flops(spec: &Spec) -> f64 {
    let (shape, band) = (spec.shape(), spec.band());
    let pairs: u64 = (0..shape.q_len).map(|i| band.keys(i, shape.kv_len).len() as u64).sum();
    let heads = u64::from(shape.batch) * u64::from(shape.q_heads);
    let dims = u64::from(shape.head_dim) + u64::from(shape.value_dim);
    2.0 * dims as f64 * (heads * pairs) as f64
}

/// Bytes of q, k, v and out, each once: the least that a kernel moves.
pub(crate) fn bytes(spec: &Spec) -> f64 {
    let views = [Tensor::Q, Tensor::K, Tensor::V, Tensor::Out].into_iter().filter_map(|tensor| spec.view(tensor));
    views.filter_map(|view| view.bytes().ok()).sum::<u64>() as f64
}
