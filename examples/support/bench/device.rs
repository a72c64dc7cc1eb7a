//! What every part of the bench does with a device: errors as values, submit and wait, read back.

use wgpu_attention::{Error, Gpu, wgpu};

/// What `make` returns, or what the device said of it instead.
pub(crate) fn caught<T>(gpu: &Gpu, what: &'static str, make: impl FnOnce() -> T) -> Result<T, Error> {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let [internal, memory, validation] = filters.map(|filter| gpu.device().push_error_scope(filter));
    let made = make();
    let said = [validation, memory, internal].map(|scope| pollster::block_on(scope.pop()));
    match said.into_iter().flatten().next() {
        None => Ok(made),
        Some(error @ wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory { what, because: error.to_string() }),
        Some(error) => Err(Error::Device { what, because: error.to_string() }),
    }
}

/// A storage buffer of so many bytes, to be written and read by host and device. It holds zeros.
pub(crate) fn buffer(gpu: &Gpu, what: &'static str, size: u64) -> Result<wgpu::Buffer, Error> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    buffer_for(gpu, what, size, usage)
}

/// A buffer of so many bytes for this usage.
pub(crate) fn buffer_for(
    gpu: &Gpu,
    what: &'static str,
    size: u64,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, Error> {
    let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
    caught(gpu, what, || gpu.device().create_buffer(&descriptor))
}

/// An encoder for one submission.
pub(crate) fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
}

/// Submits what was recorded, and returns when the device has done it.
pub(crate) fn submit(gpu: &Gpu, encoder: wgpu::CommandEncoder) -> Result<(), Error> {
    let index = gpu.queue().submit([encoder.finish()]);
    wait(gpu, Some(index))
}

fn wait(gpu: &Gpu, submission_index: Option<wgpu::SubmissionIndex>) -> Result<(), Error> {
    let waited = gpu.device().poll(wgpu::PollType::Wait { submission_index, timeout: None });
    waited.map(drop).map_err(lost)
}

/// So many bytes of a buffer from `offset` on, as the host sees them.
pub(crate) fn read<T: bytemuck::Pod>(gpu: &Gpu, from: &wgpu::Buffer, offset: u64, size: u64) -> Result<Vec<T>, Error> {
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let staging = buffer_for(gpu, "a read-back", size, usage)?;
    caught(gpu, "a read-back", || {
        let mut encoder = encoder(gpu);
        encoder.copy_buffer_to_buffer(from, offset, &staging, 0, size);
        gpu.queue().submit([encoder.finish()]);
    })?;
    let (sender, mapped) = std::sync::mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
    wait(gpu, None)?;
    mapped.try_recv().map_err(lost)?.map_err(lost)?;
    let bytes = staging.get_mapped_range(..).map_err(lost)?;
    Ok(bytemuck::pod_collect_to_vec(&bytes))
}

fn lost(error: impl std::fmt::Display) -> Error {
    Error::Lost { because: error.to_string() }
}
