//! Upload, run step by step, read back.

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::Gpu;
use crate::{
    bound::{Bindings, Bound},
    error::Error,
    pipelines::{Scopes, lock},
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
    view::View,
};

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Dispatches that are done.
    pub done: usize,
    /// All of them.
    pub steps: usize,
}

/// The plan and buffers of one spec, kept between calls.
#[derive(Debug)]
pub(super) struct Session {
    bound: Bound,
    buffers: Vec<(View, wgpu::Buffer)>,
    /// All outputs, one after the other, as the host reads them.
    staging: wgpu::Buffer,
}

impl Gpu {
    /// Uploads the inputs, computes, reads the outputs back. A spec seen lately keeps its plan and buffers.
    ///
    /// Long work goes in several submissions, each short enough for any watchdog.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&self, spec: &Spec, inputs: &Inputs<'_>) -> Result<Outputs<f32>, Error> {
        pollster::block_on(self.run_async(spec, inputs))
    }

    /// [`run`](Self::run) where one cannot block.
    pub async fn run_async(&self, spec: &Spec, inputs: &Inputs<'_>) -> Result<Outputs<f32>, Error> {
        self.run_with_progress(spec, inputs, |_| ()).await
    }

    /// [`run_async`](Self::run_async) that says after each dispatch how far it is.
    pub async fn run_with_progress(
        &self,
        spec: &Spec,
        inputs: &Inputs<'_>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Outputs<f32>, Error> {
        spec.check()?;
        inputs.check(spec)?;
        // Taken out while it is used, so that two calls at once never share buffers.
        let kept = lock(&self.sessions).pop(spec);
        let session = match kept {
            Some(session) => session,
            None => Session::new(self, spec).await?,
        };
        session.upload(self, inputs);
        let steps = session.bound.steps();
        for step in 0..steps {
            session.submit(self, step).await?;
            if step + 1 < steps {
                self.reached().await?;
                progress(Progress { done: step + 1, steps });
            }
        }
        let outputs = session.read(self).await?; // which waits for the last step
        progress(Progress { done: steps, steps });
        lock(&self.sessions).put(spec.clone(), session);
        Ok(outputs)
    }

    /// A future that resolves when the device reaches this point. Nothing else needs to poll the device.
    fn reached(&self) -> impl Future<Output = Result<(), Error>> + wgpu::WasmNotSend + use<> {
        let (sender, receiver) = oneshot_channel();
        self.queue.on_submitted_work_done(move || drop(sender.send(Ok(()))));
        self.received(receiver)
    }

    /// Awaits what a callback of the device sends, and keeps the device going meanwhile.
    fn received<T>(
        &self,
        receiver: OneshotReceiver<Result<T, String>>,
    ) -> impl Future<Output = Result<T, Error>> + wgpu::WasmNotSend + use<T>
    where
        T: Send + 'static,
    {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let device = self.device.clone();
            // A failed poll drops the callbacks, which ends the wait below.
            let poll = move || drop(device.poll(wgpu::PollType::wait_indefinitely()));
            if std::thread::Builder::new().spawn(poll.clone()).is_err() {
                poll(); // the system has no thread left: then the caller's own waits
            }
        }
        async move {
            let lost = |because: String| Error::Lost { because };
            let sent = receiver.receive().await.ok_or_else(|| lost("it dropped what was submitted".into()))?;
            sent.map_err(lost)
        }
    }
}

impl Session {
    async fn new(gpu: &Gpu, spec: &Spec) -> Result<Self, Error> {
        let plan = gpu.attention.plan_async(spec).await?;
        let mut buffers = Vec::new();
        let mut staged = 0;
        for view in plan.views() {
            let bytes = view.bytes()?;
            let usage = if view.written { wgpu::BufferUsages::COPY_SRC } else { wgpu::BufferUsages::COPY_DST };
            buffers.push((view, buffer(gpu, view.tensor.name(), bytes, usage | wgpu::BufferUsages::STORAGE).await?));
            staged += if is_output(&view) { bytes } else { 0 };
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = buffer(gpu, "the outputs on the host", staged, usage).await?;
        let mut bindings = Bindings::new();
        for (view, buffer) in &buffers {
            bindings = bindings.set(view.tensor, buffer.slice(..));
        }
        let bound = plan.bind_async(&bindings).await?;
        Ok(Self { bound, buffers, staging })
    }

    fn upload(&self, gpu: &Gpu, inputs: &Inputs<'_>) {
        for (tensor, slice) in inputs.slices() {
            for (_, buffer) in self.buffers.iter().filter(|(view, _)| view.tensor == tensor) {
                let elements = (buffer.size() / 4) as usize;
                gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&slice[..elements]));
            }
        }
    }

    async fn submit(&self, gpu: &Gpu, step: usize) -> Result<(), Error> {
        let scopes = Scopes::open(&gpu.device);
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let recorded = self.bound.encode_steps(&mut encoder, step..step + 1);
        gpu.queue.submit([encoder.finish()]);
        let refusal = scopes.close("a submission");
        recorded?;
        refusal.await
    }

    async fn read(&self, gpu: &Gpu) -> Result<Outputs<f32>, Error> {
        let scopes = Scopes::open(&gpu.device);
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut at = 0;
        for (_, buffer) in self.buffers.iter().filter(|(view, _)| is_output(view)) {
            encoder.copy_buffer_to_buffer(buffer, 0, &self.staging, at, buffer.size());
            at += buffer.size();
        }
        gpu.queue.submit([encoder.finish()]);
        let (sender, mapped) = oneshot_channel();
        self.staging.map_async(wgpu::MapMode::Read, .., move |result| {
            drop(sender.send(result.map_err(|error| error.to_string())));
        });
        scopes.close("the read-back").await?;
        gpu.received(mapped).await?;
        let outputs = self.outputs();
        self.staging.unmap();
        outputs
    }

    fn outputs(&self) -> Result<Outputs<f32>, Error> {
        let bytes = self.staging.get_mapped_range(..).map_err(|error| Error::Lost { because: error.to_string() })?;
        let mut outputs = Outputs::of(Vec::new());
        let mut at = 0;
        for (view, buffer) in self.buffers.iter().filter(|(view, _)| is_output(view)) {
            let size = buffer.size() as usize;
            let values = bytemuck::pod_collect_to_vec(&bytes[at..at + size]);
            at += size;
            match view.tensor {
                Tensor::Out => outputs.out = values,
                Tensor::Lse => outputs.lse = Some(values),
                Tensor::Weights => outputs.weights = Some(values),
                _ => outputs.scores = Some(values),
            }
        }
        Ok(outputs)
    }
}

/// A tensor that the host reads back.
fn is_output(view: &View) -> bool {
    view.written && view.tensor != Tensor::Workspace
}

async fn buffer(gpu: &Gpu, name: &'static str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, Error> {
    let descriptor = wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false };
    let scopes = Scopes::open(&gpu.device);
    let buffer = gpu.device.create_buffer(&descriptor);
    scopes.close(name).await?;
    Ok(buffer)
}
