//! Tensors between canaries: what a kernel reads beside its inputs is NaN, what it writes beside its outputs is seen.

use wgpu_attention::{Bindings, Gpu, Outputs, Tensor, View, wgpu};

use super::{Case, read};

/// Elements before and after each tensor: a multiple of every device's alignment, and of the longest tile row.
const MARGIN: usize = 1024;

/// What lies before, after and in outputs beforehand: a NaN that no arithmetic makes.
pub(crate) const CANARY: u32 = 0x7fde_ad01;

/// The buffers of a case, one per tensor.
pub(crate) struct Buffers(Vec<(View, wgpu::Buffer)>);

impl Buffers {
    /// Inputs uploaded, outputs filled with canaries, margins around all.
    pub(crate) fn new(gpu: &Gpu, case: &Case, views: impl Iterator<Item = View>) -> Self {
        Self(views.map(|view| (view, upload(gpu, case, &view))).collect())
    }

    pub(crate) fn bindings(&self) -> Bindings<'_> {
        self.0.iter().fold(Bindings::new(), |bindings, (view, buffer)| bindings.set(view.tensor, slice(view, buffer)))
    }

    pub(crate) fn slice(&self, tensor: Tensor) -> Option<wgpu::BufferSlice<'_>> {
        self.0.iter().find(|(view, _)| view.tensor == tensor).map(|(view, buffer)| slice(view, buffer))
    }

    /// The outputs, or which margin was written.
    pub(crate) fn outputs(&self, gpu: &Gpu) -> Result<Outputs<f32>, String> {
        let mut outputs = Outputs::of(vec![]);
        for (view, buffer) in self.0.iter().filter(|(view, _)| view.written) {
            let data = read(gpu, buffer);
            let inside = MARGIN..data.len() - MARGIN;
            if let Some(at) = (0..data.len()).find(|at| !inside.contains(at) && data[*at].to_bits() != CANARY) {
                return Err(format!(
                    "{}: element {} outside it became {}",
                    view.tensor.name(),
                    at as isize - MARGIN as isize,
                    data[at]
                ));
            }
            let data = data[inside].to_vec();
            match view.tensor {
                Tensor::Out => outputs.out = data,
                Tensor::Lse => outputs.lse = Some(data),
                Tensor::Weights => outputs.weights = Some(data),
                Tensor::Scores => outputs.scores = Some(data),
                _ => {}
            }
        }
        Ok(outputs)
    }
}

fn upload(gpu: &Gpu, case: &Case, view: &View) -> wgpu::Buffer {
    let extent = view.extent().expect("a legal spec") as usize;
    let mut data = vec![f32::from_bits(CANARY); extent + 2 * MARGIN];
    let input: &[f32] = match view.tensor {
        Tensor::Q => &case.q,
        Tensor::K => &case.k,
        Tensor::V => &case.v,
        _ => &[],
    };
    data[MARGIN..MARGIN + input.len()].copy_from_slice(input);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let size = 4 * data.len() as u64;
    let descriptor = wgpu::BufferDescriptor { label: Some(view.tensor.name()), size, usage, mapped_at_creation: false };
    let buffer = gpu.device().create_buffer(&descriptor);
    gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&data));
    buffer
}

fn slice<'a>(view: &View, buffer: &'a wgpu::Buffer) -> wgpu::BufferSlice<'a> {
    let start = 4 * MARGIN as u64;
    buffer.slice(start..start + view.bytes().expect("a legal spec"))
}
