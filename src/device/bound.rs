//! A plan with buffers: every check of a buffer, then recording.

use std::{ops::Range, sync::Arc};

use crate::{
    device::{
        bindings::Bindings,
        pipelines::{Pipeline, Scopes},
        plan::Plan,
    },
    error::Error,
    program::builder::Group,
    shader::{params::Params, slot::Slot},
    tensor::{Tensor, view::View},
};

/// A checked buffer range of one tensor: what is bound.
#[derive(Clone, Debug)]
struct Held {
    view: View,
    buffer: wgpu::Buffer,
    bytes: Range<u64>,
}

/// A plan with its buffers, ready to be recorded any number of times. Owns its handles; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bound {
    plan: Plan,
    groups: Arc<[wgpu::BindGroup]>,
}

impl Plan {
    /// Checks the buffers and makes the bind groups.
    ///
    /// Refused: a missing or superfluous binding, a slice too short, a buffer without `STORAGE`, a misaligned offset, ranges
    /// that overlap where one is written, a buffer of another device (of the same `wgpu::Instance`: wgpu cannot tell those
    /// of another instance apart).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn bind(&self, bindings: &Bindings<'_>) -> Result<Bound, Error> {
        pollster::block_on(self.bind_async(bindings))
    }

    /// [`bind`](Self::bind) where one cannot block.
    pub async fn bind_async(&self, bindings: &Bindings<'_>) -> Result<Bound, Error> {
        let held = self.hold(bindings)?;
        let scopes = Scopes::open(&self.inner.device);
        let groups = self.groups(&held);
        scopes.close("a bind group").await?;
        Ok(Bound { plan: self.clone(), groups })
    }

    /// [`bind`](Self::bind) and [`Bound::encode`] in one.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, bindings: &Bindings<'_>) -> Result<(), Error> {
        self.bind(bindings)?.encode(encoder);
        Ok(())
    }

    fn hold(&self, bindings: &Bindings<'_>) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        let align = u64::from(self.inner.caps.storage_align);
        for view in self.views() {
            let missing = Error::Missing { name: view.tensor.name(), needs: view.bytes()? };
            let slice = bindings.slices[view.tensor as usize].ok_or(missing)?;
            held.push(Held::new(view, slice, align)?);
        }
        for (tensor, slice) in Tensor::ALL.into_iter().zip(&bindings.slices) {
            if slice.is_some() && !held.iter().any(|held| held.view.tensor == tensor) {
                return Err(Error::Unused { name: tensor.name() });
            }
        }
        for (i, a) in held.iter().enumerate() {
            for b in &held[i + 1..] {
                a.check_beside(b, self.inner.problem.shared_buffer())?;
            }
        }
        Ok(held)
    }

    fn groups(&self, held: &[Held]) -> Arc<[wgpu::BindGroup]> {
        let planned = &*self.inner;
        planned.program.groups.iter().map(|group| self.group(group, &planned.compiled[group.kernel], held)).collect()
    }

    fn group(&self, group: &Group, compiled: &Pipeline, held: &[Held]) -> wgpu::BindGroup {
        let resource = |slot: Slot| {
            let window = group.windows.iter().find(|window| window.slot == slot)?;
            let held = held.iter().find(|held| held.view.tensor == window.tensor)?;
            let start = held.bytes.start;
            Some(range(&held.buffer, &(start + window.bytes.start..start + window.bytes.end)))
        };
        let params = range(&self.inner.params, &(0..size_of::<Params>() as u64));
        let entry = |binding, buffer| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) };
        let tensors = compiled.bindings.iter();
        let tensors = tensors.filter_map(|binding| Some(entry(binding.slot.binding(), resource(binding.slot)?)));
        let entries: Vec<_> = std::iter::once(entry(0, params)).chain(tensors).collect();
        let kernel = self.inner.program.kernels[group.kernel];
        self.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.shader().name()),
            layout: &compiled.layout,
            entries: &entries,
        })
    }
}

fn range<'a>(buffer: &'a wgpu::Buffer, bytes: &Range<u64>) -> wgpu::BufferBinding<'a> {
    wgpu::BufferBinding { buffer, offset: bytes.start, size: wgpu::BufferSize::new(bytes.end - bytes.start) }
}

impl Held {
    fn new(view: View, slice: wgpu::BufferSlice<'_>, align: u64) -> Result<Self, Error> {
        let name = view.tensor.name();
        let (offset, got, needs) = (slice.offset(), slice.size(), view.bytes()?);
        if !slice.buffer().usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::Usage { name, needs: "STORAGE" });
        }
        if got < needs {
            return Err(Error::Size { name, got, needs });
        }
        if !offset.is_multiple_of(align) {
            return Err(Error::Offset { name, offset, align });
        }
        Ok(Self { view, buffer: slice.buffer().clone(), bytes: offset..offset + needs })
    }

    fn check_beside(&self, other: &Self, shared_buffer: bool) -> Result<(), Error> {
        let (a, b) = (self.view.tensor.name(), other.view.tensor.name());
        let written = self.view.written || other.view.written;
        if self.buffer != other.buffer || !written {
            return Ok(());
        }
        if self.bytes.start < other.bytes.end && other.bytes.start < self.bytes.end {
            return Err(Error::Overlap { a, b });
        }
        if shared_buffer { Ok(()) } else { Err(Error::SharedBuffer { a, b }) }
    }
}

impl Bound {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many dispatches it has. A caller may submit between any two.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.plan.steps()
    }

    /// Records all of it into the caller's encoder, in a compute pass of its own. Nothing runs until the caller submits.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("attention"), timestamp_writes: None };
        self.record(&mut encoder.begin_compute_pass(&descriptor));
    }

    /// Records some of the steps, which must run in order: submit between them where one submission would take too long.
    pub fn encode_steps(&self, encoder: &mut wgpu::CommandEncoder, steps: Range<usize>) -> Result<(), Error> {
        if steps.start > steps.end || steps.end > self.steps() {
            return Err(Error::Steps { from: steps.start, to: steps.end, steps: self.steps() });
        }
        let descriptor = wgpu::ComputePassDescriptor { label: Some("attention"), timestamp_writes: None };
        self.record_steps(&mut encoder.begin_compute_pass(&descriptor), steps);
        Ok(())
    }

    /// Records all of it into the caller's compute pass. Sets the pipeline and bind group 0.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.record_steps(pass, 0..self.steps());
    }

    fn record_steps(&self, pass: &mut wgpu::ComputePass<'_>, steps: Range<usize>) {
        let planned = &*self.plan.inner;
        let mut current = None;
        for (slot, step) in planned.program.steps.iter().enumerate().take(steps.end).skip(steps.start) {
            let kernel = planned.program.groups[step.group].kernel;
            if current != Some(kernel) {
                pass.set_pipeline(&planned.compiled[kernel].pipeline);
                current = Some(kernel);
            }
            pass.set_bind_group(0, &self.groups[step.group], &[slot as u32 * planned.stride]);
            pass.dispatch_workgroups(step.grid[0], step.grid[1], 1);
        }
    }
}
