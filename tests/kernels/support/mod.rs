//! Problems with seeded inputs, buffers that tell what touched them, and a runner that takes any shader text.

pub(crate) mod buffers;
pub(crate) mod program;

use wgpu_attention::{Error, Gpu, Inputs, Outputs, Spec, Tensor, View, reference, wgpu};

/// The device of the environment's choice.
///
/// # Panics
///
/// Without an adapter: a test that asked for one has failed.
pub(crate) fn gpu() -> Gpu {
    Gpu::new().unwrap_or_else(|error| panic!("{error}"))
}

/// A problem and its inputs, each in a slice exactly as long as its tensor reaches.
pub(crate) struct Case {
    pub(crate) spec: Spec,
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
}

impl Case {
    /// Uniform numbers: queries and keys in -2..2, values in -1..1. Gaps between strides hold NaN.
    pub(crate) fn random(spec: Spec, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let [q, k, v] = [(Tensor::Q, 2.0), (Tensor::K, 2.0), (Tensor::V, 1.0)].map(|(tensor, reach)| {
            let view = spec.view(tensor).expect("every problem has q, k and v");
            let mut data = vec![f32::NAN; view.extent().expect("a legal spec") as usize];
            each(&view, |at| data[at] = reach * (2.0 * rng.f32() - 1.0));
            data
        });
        Self { spec, q, k, v }
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs::new(&self.q, &self.k, &self.v)
    }

    /// Compares every output with the oracle under the tolerance rule; gaps must hold `gap` still.
    pub(crate) fn compare(&self, mut actual: Outputs<f32>, gap: f32) -> Result<(), String> {
        let view = self.spec.view(Tensor::Out).expect("every problem has an output");
        let mut inside = vec![false; actual.out.len()];
        each(&view, |at| inside[at] = true);
        for (at, out) in actual.out.iter_mut().enumerate().filter(|&(at, _)| !inside[at]) {
            if out.to_bits() != gap.to_bits() {
                return Err(format!("gap element {at} of out became {out}"));
            }
            *out = 0.0; // as the oracle has it
        }
        reference::check(&self.spec, &self.inputs(), &actual).map(drop).map_err(|wrong| wrong.to_string())
    }
}

/// The index of every element of a tensor.
pub(crate) fn each(view: &View, mut visit: impl FnMut(usize)) {
    let [batch, heads, rows, dim] = view.sizes.map(u64::from);
    let at = view.layout;
    for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        for (i, d) in (0..rows).flat_map(|i| (0..dim).map(move |d| (i, d))) {
            visit((at.offset + b * at.batch + h * at.head + i * at.row + d) as usize);
        }
    }
}

/// All failures of a test, told together at its end.
#[derive(Default)]
pub(crate) struct Failures {
    ran: usize,
    failed: Vec<String>,
}

impl Failures {
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String, result: Result<(), String>) {
        self.ran += 1;
        if let Err(why) = result {
            self.failed.push(format!("{}: {why}", what()));
        }
    }

    /// # Panics
    ///
    /// If anything failed, or nothing ran.
    pub(crate) fn finish(self, name: &str) {
        println!("{name}: {} ran, {} failed", self.ran, self.failed.len());
        assert!(self.ran > 0, "{name}: nothing ran");
        assert!(self.failed.is_empty(), "{name}:\n{}", self.failed.join("\n"));
    }
}

/// Waits for everything submitted and reads a buffer with `COPY_SRC`.
pub(crate) fn read(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<f32> {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: buffer.size(), usage, mapped_at_creation: false };
    let staging = gpu.device().create_buffer(&descriptor);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapping"));
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).expect("mapped"))
}

/// An error as text, for collecting.
pub(crate) fn text(error: Error) -> String {
    error.to_string()
}
