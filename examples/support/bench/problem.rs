//! A problem on the device: random inputs, its buffers, and what comes out.

use half::f16;
use wgpu_attention::{Bindings, Bound, DType, Data, Error, Gpu, Inputs, Plan, Problem, Tensor, View, wgpu};

use crate::{
    device::{buffer, caught, read},
    workload::Workload,
};

/// A problem, its inputs on the host, and its buffers.
pub(crate) struct Held {
    pub(crate) workload: Workload,
    pub(crate) problem: Problem,
    tensors: Vec<HeldTensor>,
}

/// One tensor: what the host gave, nothing for an output, and where the device has it.
struct HeldTensor {
    view: View,
    values: Vec<f32>,
    buffer: wgpu::Buffer,
}

impl Held {
    /// Uploads uniform random inputs ([`Workload::reach`]).
    pub(crate) fn new(gpu: &Gpu, workload: Workload, seed: u64) -> Result<Self, Error> {
        let problem = workload.problem();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut tensors = Vec::new();
        for view in problem.views() {
            let buffer = buffer(gpu, view.tensor.name(), view.bytes()?)?;
            // What the device stores is what the oracle gets.
            let rounded = |x: f32| if view.dtype == DType::F16 { f16::from_f32(x).to_f32() } else { x };
            let elements = if view.is_input() { view.extent()? } else { 0 };
            let reach = workload.reach(view.tensor);
            let values: Vec<_> = (0..elements).map(|_| rounded(reach * (2.0 * rng.f32() - 1.0))).collect();
            write(gpu, &view, &buffer, &values)?;
            tensors.push(HeldTensor { view, values, buffer });
        }
        Ok(Self { workload, problem, tensors })
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        let given = self.tensors.iter().filter(|tensor| tensor.view.is_input());
        given.fold(Inputs::default(), |inputs, held| inputs.set(held.view.tensor, Data::Floats(&held.values)))
    }

    /// The problem's buffers bound to a plan for it, and a workspace where it needs one.
    pub(crate) fn bind(&self, plan: &Plan, workspace: Option<&wgpu::Buffer>) -> Result<Bound, Error> {
        let mut bindings = Bindings::new();
        for held in &self.tensors {
            bindings = bindings.set(held.view.tensor, held.buffer.slice(..));
        }
        if let Some(workspace) = workspace {
            bindings = bindings.workspace(workspace.slice(..));
        }
        plan.bind(&bindings)
    }

    /// Fills the output with NaN, so that an element that nobody writes is seen.
    pub(crate) fn poison(&self, gpu: &Gpu) -> Result<(), Error> {
        let Some(out) = self.output() else { return Ok(()) };
        write(gpu, &out.view, &out.buffer, &vec![f32::NAN; out.view.extent()? as usize])
    }

    /// The output.
    pub(crate) fn out(&self, gpu: &Gpu) -> Result<Vec<f32>, Error> {
        let Some(HeldTensor { view, buffer, .. }) = self.output() else { return Ok(Vec::new()) };
        if view.dtype == DType::F16 {
            let halves: Vec<u16> = read(gpu, buffer, 0, buffer.size())?;
            return Ok(halves.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect());
        }
        read(gpu, buffer, 0, buffer.size())
    }

    fn output(&self) -> Option<&HeldTensor> {
        self.tensors.iter().find(|held| held.view.tensor == Tensor::Out)
    }
}

/// Values into the buffer of a tensor, in its type.
fn write(gpu: &Gpu, view: &View, buffer: &wgpu::Buffer, values: &[f32]) -> Result<(), Error> {
    let halves: Vec<u16>;
    let bytes: &[u8] = if view.dtype == DType::F16 {
        halves = values.iter().map(|&x| f16::from_f32(x).to_bits()).collect();
        bytemuck::cast_slice(&halves)
    } else {
        bytemuck::cast_slice(values)
    };
    caught(gpu, "an upload", || gpu.queue().write_buffer(buffer, 0, bytes))
}

/// The scratch memory of a plan, where it needs any.
pub(crate) fn workspace(gpu: &Gpu, plan: &Plan) -> Result<Option<wgpu::Buffer>, Error> {
    let bytes = plan.workspace_bytes();
    if bytes == 0 { Ok(None) } else { buffer(gpu, "the workspace", bytes).map(Some) }
}
