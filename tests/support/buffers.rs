//! Tensors between canaries: what a kernel reads beside its inputs is NaN, what it writes beside its outputs is seen.

use wgpu_attention::{Bindings, Data, Gpu, Outputs, Problem, Tensor, View, wgpu};

use super::{
    case::{Case, each},
    read,
    stored::{elements, number, stored},
};

/// Bytes before and after each tensor: a multiple of every device's alignment, and of the longest tile row.
const MARGIN: usize = 4096;

/// What lies before, after and in outputs beforehand: a NaN in f32, and in the upper and lower half.
pub(crate) const CANARY: u32 = 0x7fde_ff01;

/// One tensor on the device, and what was there at first.
struct Held {
    view: View,
    buffer: wgpu::Buffer,
    first: Vec<u8>,
}

/// The buffers of a case, one per tensor.
pub(crate) struct Buffers(Vec<Held>);

impl Buffers {
    /// Inputs uploaded, all else filled with canaries, margins around all.
    pub(crate) fn new<P>(gpu: &Gpu, case: &Case<P>, views: impl Iterator<Item = View>) -> Self
    where
        P: Clone + Into<Problem>,
    {
        let inputs = case.inputs();
        Self(views.map(|view| Held::new(gpu, inputs.get(view.tensor), view)).collect())
    }

    pub(crate) fn bindings(&self) -> Bindings<'_> {
        self.0.iter().fold(Bindings::new(), |bindings, held| bindings.set(held.view.tensor, held.slice()))
    }

    pub(crate) fn slice(&self, tensor: Tensor) -> Option<wgpu::BufferSlice<'_>> {
        self.0.iter().find(|held| held.view.tensor == tensor).map(Held::slice)
    }

    /// Every byte of the outputs and of what lies beside them.
    pub(crate) fn bytes(&self, gpu: &Gpu) -> Vec<Vec<u8>> {
        self.0.iter().filter(|held| held.view.is_output()).map(|held| read(gpu, &held.buffer)).collect()
    }

    /// The outputs, or what was written that is none of them. Gaps and rows of no sequence become 0.
    pub(crate) fn outputs<P>(&self, gpu: &Gpu, case: &Case<P>) -> Result<Outputs<f32>, String>
    where
        P: Clone + Into<Problem>,
    {
        let mut outputs = Outputs::default();
        for held in self.0.iter().filter(|held| held.view.is_output()) {
            let output = held.output(gpu, |place| case.writes(&held.view, place))?;
            if held.view.tensor == Tensor::TopKeys {
                outputs.set_words(Tensor::TopKeys, output.into_iter().map(f32::to_bits).collect());
            } else {
                outputs.set(held.view.tensor, output);
            }
        }
        Ok(outputs)
    }

    /// Whether nothing was written but elements of outputs, whichever of them.
    pub(crate) fn unharmed(&self, gpu: &Gpu) -> Result<(), String> {
        self.0.iter().try_for_each(|held| held.output(gpu, |_| held.view.written).map(drop))
    }
}

impl Held {
    fn new(gpu: &Gpu, data: Option<Data<'_>>, view: View) -> Self {
        let bytes = view.bytes().expect("a legal spec") as usize;
        let mut first: Vec<u8> = CANARY.to_le_bytes().repeat((bytes + 2 * MARGIN) / 4);
        if let Some(data) = data {
            let stored = stored(data, view.dtype);
            first[MARGIN..MARGIN + stored.len()].copy_from_slice(&stored);
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let (label, size) = (Some(view.tensor.name()), first.len() as u64);
        let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
        let buffer = gpu.device().create_buffer(&descriptor);
        gpu.queue().write_buffer(&buffer, 0, &first);
        Self { view, buffer, first }
    }

    fn slice(&self) -> wgpu::BufferSlice<'_> {
        let start = MARGIN as u64;
        self.buffer.slice(start..start + self.view.bytes().expect("a legal spec"))
    }

    fn output(&self, gpu: &Gpu, writes: impl Fn([u32; 4]) -> bool) -> Result<Vec<f32>, String> {
        let (view, dtype) = (&self.view, self.view.dtype);
        let extent = view.extent().expect("a legal spec") as usize;
        let margin = MARGIN * 8 / dtype.bits() as usize;
        let (now, first) = (elements(&read(gpu, &self.buffer), dtype), elements(&self.first, dtype));
        let mut written = vec![false; extent];
        each(view, |at, place| written[at] = writes(place));
        let mut output = vec![0.0; extent];
        for (i, (&now, &first)) in now.iter().zip(&first).enumerate() {
            match i.checked_sub(margin).filter(|&at| at < extent && written[at]) {
                Some(at) => output[at] = number(now, dtype),
                None if now == first => {}
                None => {
                    let at = i as isize - margin as isize;
                    return Err(format!("{}: element {at}, none of its own, became {now:#x}", view.tensor.name()));
                }
            }
        }
        // Gaps of a cache keep what they had, which is what the oracle says of them.
        if matches!(view.tensor, Tensor::K | Tensor::V) {
            for (output, &now) in output.iter_mut().zip(&now[margin..]) {
                *output = number(now, dtype);
            }
        }
        Ok(output)
    }
}
