//! A problem on the device: random inputs, its buffers, and what comes out.

use half::f16;
use wgpu_attention::{Bindings, Bound, DType, Error, Gpu, Inputs, Plan, Spec, Tensor, View, wgpu};

use crate::{
    device::{buffer, caught, read},
    workload::Workload,
};

/// A problem, its inputs on the host, and its buffers.
pub(crate) struct Problem {
    pub(crate) workload: Workload,
    pub(crate) spec: Spec,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    buffers: Vec<(View, wgpu::Buffer)>,
}

impl Problem {
    /// Uploads uniform random inputs: queries and keys in -2..2, which gives scores a standard deviation of 4/3, values
    /// in -1..1.
    pub(crate) fn new(gpu: &Gpu, workload: Workload, seed: u64) -> Result<Self, Error> {
        let spec = workload.spec();
        // What the device stores is what the oracle gets.
        let rounded = |x: f32| if workload.dtype == DType::F16 { f16::from_f32(x).to_f32() } else { x };
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut buffers = Vec::new();
        for view in spec.views() {
            buffers.push((view, buffer(gpu, view.tensor.name(), view.bytes()?)?));
        }
        let mut random = |tensor, reach: f32| -> Vec<f32> {
            let elements = spec.view(tensor).and_then(|view| view.extent().ok()).unwrap_or(0);
            (0..elements).map(|_| rounded(reach * (2.0 * rng.f32() - 1.0))).collect()
        };
        let (q, k, v) = (random(Tensor::Q, 2.0), random(Tensor::K, 2.0), random(Tensor::V, 1.0));
        let problem = Self { workload, spec, q, k, v, buffers };
        problem.write(gpu, Tensor::Q, &problem.q)?;
        problem.write(gpu, Tensor::K, &problem.k)?;
        problem.write(gpu, Tensor::V, &problem.v)?;
        Ok(problem)
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs::new(&self.q, &self.k, &self.v)
    }

    /// The problem's buffers bound to a plan for it, and a workspace where it needs one.
    pub(crate) fn bind(&self, plan: &Plan, workspace: Option<&wgpu::Buffer>) -> Result<Bound, Error> {
        let mut bindings = Bindings::new();
        for (view, buffer) in &self.buffers {
            bindings = bindings.set(view.tensor, buffer.slice(..));
        }
        if let Some(workspace) = workspace {
            bindings = bindings.workspace(workspace.slice(..));
        }
        plan.bind(&bindings)
    }

    /// Fills the output with NaN, so that an element that nobody writes is seen.
    pub(crate) fn poison(&self, gpu: &Gpu) -> Result<(), Error> {
        let elements = self.spec.view(Tensor::Out).and_then(|view| view.extent().ok()).unwrap_or(0);
        self.write(gpu, Tensor::Out, &vec![f32::NAN; elements as usize])
    }

    /// The output.
    pub(crate) fn out(&self, gpu: &Gpu) -> Result<Vec<f32>, Error> {
        let Some(out) = self.buffer(Tensor::Out) else { return Ok(Vec::new()) };
        if self.workload.dtype == DType::F16 {
            let halves: Vec<u16> = read(gpu, out, 0, out.size())?;
            return Ok(halves.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect());
        }
        read(gpu, out, 0, out.size())
    }

    fn buffer(&self, tensor: Tensor) -> Option<&wgpu::Buffer> {
        self.buffers.iter().find(|(view, _)| view.tensor == tensor).map(|(_, buffer)| buffer)
    }

    fn write(&self, gpu: &Gpu, tensor: Tensor, data: &[f32]) -> Result<(), Error> {
        let Some(buffer) = self.buffer(tensor) else { return Ok(()) };
        let halves: Vec<u16>;
        let bytes: &[u8] = if self.workload.dtype == DType::F16 {
            halves = data.iter().map(|&x| f16::from_f32(x).to_bits()).collect();
            bytemuck::cast_slice(&halves)
        } else {
            bytemuck::cast_slice(data)
        };
        caught(gpu, "an upload", || gpu.queue().write_buffer(buffer, 0, bytes))
    }
}

/// The scratch memory of a plan, where it needs any.
pub(crate) fn workspace(gpu: &Gpu, plan: &Plan) -> Result<Option<wgpu::Buffer>, Error> {
    let bytes = plan.workspace_bytes();
    if bytes == 0 { Ok(None) } else { buffer(gpu, "the workspace", bytes).map(Some) }
}
