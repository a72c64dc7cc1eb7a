//! Upload, run step by step, read back.

#[cfg(not(target_arch = "wasm32"))]
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_intrusive::channel::shared::{Receiver, Sender, channel};

use crate::{
    device::{
        bindings::Bindings,
        bound::Bound,
        memory::{allocate, loaded_floats, stored},
        pipelines::{Scopes, lock},
        plan::Plan,
    },
    error::Error,
    gpu::{Gpu, session::Session},
    kernels::forward::algorithm::Algorithm,
    problem::{
        Problem,
        values::{Inputs, Outputs},
    },
    tensor::{Tensor, view::View},
};

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Dispatches that are done; of a comparison, its parts.
    pub done: usize,
    /// All of them.
    pub steps: usize,
}

impl Gpu {
    /// Uploads the inputs, computes, reads the outputs back. A problem seen lately keeps its plan and buffers.
    ///
    /// Long work goes in several submissions, each short enough for any watchdog.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&self, problem: impl Into<Problem>, inputs: &Inputs<'_>) -> Result<Outputs<f32>, Error> {
        pollster::block_on(self.run_any(problem.into(), inputs, |_| ()))
    }

    /// [`run`](Self::run) by this algorithm, or why it cannot: to compare kernels, or to hunt a fault. Nothing is kept for the next call.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_with(
        &self,
        algorithm: Algorithm,
        problem: impl Into<Problem>,
        inputs: &Inputs<'_>,
    ) -> Result<Outputs<f32>, Error> {
        pollster::block_on(self.run_with_async(algorithm, problem, inputs))
    }

    /// [`run_with`](Self::run_with) where one cannot block.
    pub fn run_with_async<'a>(
        &'a self,
        algorithm: Algorithm,
        problem: impl Into<Problem>,
        inputs: &'a Inputs<'a>,
    ) -> impl Future<Output = Result<Outputs<f32>, Error>> + wgpu::WasmNotSend + 'a {
        let problem = problem.into();
        async move {
            inputs.check_with_starts(&problem)?;
            let session = Session::new(self, self.attention.plan_with_async(algorithm, &problem).await?).await?;
            session.run(self, inputs, |_| ()).await
        }
    }

    /// [`run`](Self::run) where one cannot block.
    pub fn run_async<'a>(
        &'a self,
        problem: impl Into<Problem>,
        inputs: &'a Inputs<'a>,
    ) -> impl Future<Output = Result<Outputs<f32>, Error>> + wgpu::WasmNotSend + 'a {
        self.run_any(problem.into(), inputs, |_| ())
    }

    /// [`run_async`](Self::run_async) that says after each dispatch how far it is.
    pub fn run_with_progress<'a, P>(
        &'a self,
        problem: impl Into<Problem>,
        inputs: &'a Inputs<'a>,
        progress: P,
    ) -> impl Future<Output = Result<Outputs<f32>, Error>> + wgpu::WasmNotSend + 'a
    where
        P: FnMut(Progress) + wgpu::WasmNotSend + 'a,
    {
        self.run_any(problem.into(), inputs, progress)
    }

    async fn run_any(
        &self,
        problem: Problem,
        inputs: &Inputs<'_>,
        progress: impl FnMut(Progress),
    ) -> Result<Outputs<f32>, Error> {
        inputs.check_with_starts(&problem)?;
        // Taken out while it is used, so that two calls at once never share buffers.
        let kept = lock(&self.sessions).pop(&problem);
        let session = match kept {
            Some(session) => session,
            None => Session::new(self, self.attention.plan_async(&problem).await?).await?,
        };
        let outputs = session.run(self, inputs, progress).await?;
        lock(&self.sessions).put(problem, session);
        Ok(outputs)
    }

    /// The numbers of a buffer with usage `COPY_SRC`, once all that was submitted is done.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read<T: bytemuck::Pod>(&self, source: &wgpu::Buffer) -> Result<Vec<T>, Error> {
        pollster::block_on(self.read_async(source))
    }

    /// [`read`](Self::read) where one cannot block.
    pub async fn read_async<T: bytemuck::Pod>(&self, source: &wgpu::Buffer) -> Result<Vec<T>, Error> {
        if !source.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            return Err(Error::Usage { name: "to read", needs: "COPY_SRC" });
        }
        let element = size_of::<T>().max(1) as u64;
        if !source.size().is_multiple_of(element) {
            let (got, needs) = (source.size(), source.size().next_multiple_of(element));
            return Err(Error::Size { name: "to read", got, needs });
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = allocate(&self.device, "a buffer on the host", source.size(), usage).await?;
        self.fetch(&staging, |encoder| encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size())).await?;
        let bytes = staging.get_mapped_range(..);
        let bytes = bytes.map_err(|error| Error::Lost { because: error.to_string() })?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Submits one dispatch.
    pub(super) async fn submit(&self, bound: &Bound, step: usize) -> Result<(), Error> {
        let mut recorded = Ok(());
        self.record("a submission", |encoder| recorded = bound.encode_steps(encoder, step..step + 1)).await?;
        recorded
    }

    /// Records and submits.
    pub(crate) fn record(
        &self,
        what: &'static str,
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> impl Future<Output = Result<(), Error>> + wgpu::WasmNotSend {
        let scopes = Scopes::open(&self.device);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        record(&mut encoder);
        self.queue.submit([encoder.finish()]);
        scopes.close(what)
    }

    /// Submits copies to a buffer and maps it for the host, when all that was submitted is done.
    pub(super) async fn fetch(
        &self,
        staging: &wgpu::Buffer,
        copy: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<(), Error> {
        let scopes = Scopes::open(&self.device);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        copy(&mut encoder);
        self.queue.submit([encoder.finish()]);
        let (sender, receiver) = channel(1);
        let mapped = sender.clone();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            drop(mapped.try_send(result.map_err(|error| Error::Lost { because: error.to_string() })));
        });
        scopes.close("the read-back").await?;
        self.received(sender, receiver).await
    }

    /// A future that resolves when the device reaches this point. Nothing else needs to poll the device.
    pub(super) fn reached(&self) -> impl Future<Output = Result<(), Error>> + wgpu::WasmNotSend + use<> {
        let (sender, receiver) = channel(1);
        let reached = sender.clone();
        self.queue.on_submitted_work_done(move || drop(reached.try_send(Ok(()))));
        self.received(sender, receiver)
    }

    /// Awaits what a callback of the device sends, and keeps the device going meanwhile, for as long as
    /// [`with_timeout`](Self::with_timeout) says.
    fn received(
        &self,
        sender: Sender<Result<(), Error>>,
        receiver: Receiver<Result<(), Error>>,
    ) -> impl Future<Output = Result<(), Error>> + wgpu::WasmNotSend + use<> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let (device, timeout) = (self.device.clone(), self.timeout);
            let poll = move || {
                // On a lost device wgpu may panic, and drops the callbacks and this sender all the same, which ends the wait below.
                let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(timeout) };
                let polled = catch_unwind(AssertUnwindSafe(|| device.poll(wait)));
                if let Ok(Err(wgpu::PollError::Timeout)) = polled {
                    drop(sender.try_send(Err(Error::Timeout { seconds: timeout.as_secs_f32() })));
                }
            };
            if std::thread::Builder::new().spawn(poll.clone()).is_err() {
                poll(); // the system has no thread left: then the caller's own waits
            }
        }
        #[cfg(target_arch = "wasm32")]
        drop(sender); // the browser polls, and the callback has a sender of its own
        async move {
            let dropped = || Err(Error::Lost { because: "it dropped what was submitted".into() });
            receiver.receive().await.unwrap_or_else(dropped)
        }
    }
}

impl Session {
    /// Buffers for a plan, all of them bound.
    async fn new(gpu: &Gpu, plan: Plan) -> Result<Self, Error> {
        let mut buffers = Vec::new();
        let mut staged = 0;
        for view in plan.views() {
            let bytes = view.bytes()?;
            let mut usage = wgpu::BufferUsages::STORAGE;
            // Outputs are cleared where a call may leave rows unwritten.
            usage.set(wgpu::BufferUsages::COPY_DST, view.is_input() || plan.problem().view(Tensor::CuQ).is_some());
            usage.set(wgpu::BufferUsages::COPY_SRC, view.is_output());
            buffers.push((view, allocate(&gpu.device, view.tensor.name(), bytes, usage).await?));
            staged += if view.is_output() { bytes } else { 0 };
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = allocate(&gpu.device, "the outputs on the host", staged, usage).await?;
        let mut bindings = Bindings::new();
        for (view, buffer) in &buffers {
            bindings = bindings.set(view.tensor, buffer.slice(..));
        }
        let bound = plan.bind_async(&bindings).await?;
        Ok(Self { bound, buffers, staging })
    }

    /// Upload, the steps one by one, read-back.
    async fn run(
        &self,
        gpu: &Gpu,
        inputs: &Inputs<'_>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Outputs<f32>, Error> {
        upload(gpu, &self.buffers, inputs).await?;
        self.clear(gpu).await?;
        let steps = self.bound.steps();
        for step in 0..steps {
            gpu.submit(&self.bound, step).await?;
            if step + 1 < steps {
                gpu.reached().await?;
                progress(Progress { done: step + 1, steps });
            }
        }
        let outputs = self.read(gpu).await?; // which waits for the last step
        progress(Progress { done: steps, steps });
        Ok(outputs)
    }

    /// Packed sequences need not cover all rows: those that belong to none are 0, not what an earlier call wrote.
    async fn clear(&self, gpu: &Gpu) -> Result<(), Error> {
        if self.bound.plan().problem().view(Tensor::CuQ).is_none() {
            return Ok(());
        }
        let outputs = self.buffers.iter().filter(|(view, _)| view.is_output() && !view.is_input());
        gpu.record("clearing outputs", |encoder| outputs.for_each(|(_, buffer)| encoder.clear_buffer(buffer, 0, None)))
            .await
    }

    async fn read(&self, gpu: &Gpu) -> Result<Outputs<f32>, Error> {
        gpu.fetch(&self.staging, |encoder| {
            let mut at = 0;
            for (_, buffer) in self.buffers.iter().filter(|(view, _)| view.is_output()) {
                encoder.copy_buffer_to_buffer(buffer, 0, &self.staging, at, buffer.size());
                at += buffer.size();
            }
        })
        .await?;
        let outputs = self.outputs();
        let scopes = Scopes::open(&gpu.device);
        self.staging.unmap();
        scopes.close("the read-back").await?;
        outputs
    }

    fn outputs(&self) -> Result<Outputs<f32>, Error> {
        let bytes = self.staging.get_mapped_range(..).map_err(|error| Error::Lost { because: error.to_string() })?;
        let mut outputs = Outputs::default();
        let mut at = 0;
        for (view, buffer) in self.buffers.iter().filter(|(view, _)| view.is_output()) {
            let size = buffer.size() as usize;
            let (bytes, extent) = (&bytes[at..at + size], view.extent()? as usize);
            at += size;
            if view.dtype.is_float() {
                let mut values = loaded_floats(bytes, view.dtype);
                values.truncate(extent);
                outputs.set(view.tensor, values);
            } else {
                let mut words = bytemuck::pod_collect_to_vec(bytes);
                words.truncate(extent);
                outputs.set_words(view.tensor, words);
            }
        }
        Ok(outputs)
    }
}

/// Puts the inputs where they are bound.
pub(super) async fn upload(gpu: &Gpu, buffers: &[(View, wgpu::Buffer)], inputs: &Inputs<'_>) -> Result<(), Error> {
    for (view, buffer) in buffers.iter().filter(|(view, _)| view.is_input()) {
        let Some(data) = inputs.get(view.tensor) else { continue };
        let bytes = stored(data, view)?;
        let scopes = Scopes::open(&gpu.device);
        gpu.queue.write_buffer(buffer, 0, &bytes);
        scopes.close("an input").await?;
    }
    Ok(())
}
