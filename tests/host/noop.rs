//! What wgpu's own validation says, without a driver: pipelines, bind groups, recording, and every refusal of a buffer.

mod gpu;
mod programs;
mod refusals;
mod steps;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::every_kernel::every_kernel;
use wgpu_attention::{
    Attention, Bindings, Bound, Caps, Plan, Shape, Spec,
    kernels::Needs,
    shader::{Binding, Params, Source},
    wgpu,
};

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 3, kv_len: 5, head_dim: 8, value_dim: 8 };

/// A device that computes nothing and validates everything, with a handler that counts the errors nobody caught.
struct Noop {
    device: wgpu::Device,
    queue: wgpu::Queue,
    attention: Attention,
    uncaught: Arc<AtomicUsize>,
}

impl Noop {
    fn new() -> Self {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        Self::on(device, queue)
    }

    fn on(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let uncaught = Arc::new(AtomicUsize::new(0));
        let counter = uncaught.clone();
        device.on_uncaptured_error(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        Self { attention: Attention::new(&device), device, queue, uncaught }
    }

    fn uncaught(&self) -> usize {
        self.uncaught.load(Ordering::Relaxed)
    }

    fn buffer(&self, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// One buffer for each tensor of a plan, exactly as long as it must be.
    fn buffers(&self, plan: &Plan) -> Vec<wgpu::Buffer> {
        let size = |view: wgpu_attention::View| view.bytes().expect("the plan has it");
        plan.views().map(|view| self.buffer(size(view), wgpu::BufferUsages::STORAGE)).collect()
    }

    fn bound(&self, plan: &Plan) -> Bound {
        plan.bind(&bindings(plan, &self.buffers(plan))).expect("the buffers are right")
    }

    /// Records and submits, which is when wgpu checks dispatches against bind groups.
    fn submitted(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let mut encoder = self.encoder();
        record(&mut encoder);
        self.queue.submit([encoder.finish()]);
        assert_eq!(self.uncaught(), 0);
    }
}

fn bindings<'a>(plan: &Plan, buffers: &'a [wgpu::Buffer]) -> Bindings<'a> {
    let pairs = plan.views().zip(buffers);
    pairs.fold(Bindings::new(), |bindings, (view, buffer)| bindings.set(view.tensor, buffer.slice(..)))
}

/// What a future that never waits gives.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// A pipeline of this text, with a layout of what it declares and no more.
fn pipeline(device: &wgpu::Device, source: &Source) -> wgpu::ComputePipeline {
    let visibility = wgpu::ShaderStages::COMPUTE;
    let entry = |binding, ty, size| {
        let min_binding_size = wgpu::BufferSize::new(size);
        let ty = wgpu::BindingType::Buffer { ty, has_dynamic_offset: size > 0, min_binding_size };
        wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None }
    };
    let storage = |binding: &Binding| {
        let ty = wgpu::BufferBindingType::Storage { read_only: !binding.writable };
        entry(binding.slot.binding(), ty, 0)
    };
    let uniform = entry(0, wgpu::BufferBindingType::Uniform, size_of::<Params>() as u64);
    let uniform = source.wgsl.contains("var<uniform> params").then_some(uniform);
    let entries: Vec<_> = uniform.into_iter().chain(source.bindings.iter().map(storage)).collect();
    let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let layout = wgpu::PipelineLayoutDescriptor { bind_group_layouts: &[Some(&group)], ..Default::default() };
    let wgsl = wgpu::ShaderSource::Wgsl(source.wgsl.as_str().into());
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: Some(&device.create_pipeline_layout(&layout)),
        module: &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source: wgsl }),
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

#[test]
fn every_kernel_is_a_pipeline_at_default_limits() {
    let noop = Noop::new();
    let kernels = every_kernel(&[Caps::webgpu()]);
    assert!(kernels.iter().all(|kernel| kernel.shader().needs() == Needs::default()), "every WebGPU device runs them");
    for kernel in &kernels {
        pipeline(&noop.device, &kernel.shader().source());
        assert_eq!(noop.uncaught(), 0, "{kernel:?}");
    }
    println!("{} kernels", kernels.len());
    let text = kernels[0].shader().source();
    for (part, other) in [("<storage, read>", "<storage, read_write>"), ("params: Params", "params: vec4<u32>")] {
        let wgsl = text.wgsl.replacen(part, other, 1).replacen("(THREADS)", "(512)", 1);
        pipeline(&noop.device, &Source { wgsl, ..text.clone() });
    }
    assert!(noop.uncaught() > 0, "validation is on");
}

#[test]
fn plans_share_an_encoder_and_a_pass() {
    let noop = Noop::new();
    let [a, b] = [Spec::new(SHAPE), Spec::new(SHAPE).weights().lse()].map(|spec| noop.attention.plan(&spec));
    let (a, b) = (a.expect("the spec is fine"), b.expect("the spec is fine"));
    let other = pipeline(
        &noop.device,
        &Source { wgsl: "@compute @workgroup_size(1) fn main() {}".into(), bindings: vec![], places: vec![] },
    );
    let empty = noop.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &other.get_bind_group_layout(0),
        entries: &[],
    });
    let buffers = noop.buffers(&a);
    noop.submitted(|encoder| {
        a.encode(encoder, &bindings(&a, &buffers)).expect("the buffers are right");
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&other);
        pass.set_bind_group(0, &empty, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        noop.bound(&b).record(&mut pass);
        noop.bound(&a).record(&mut pass);
        drop(pass);
        noop.bound(&b).encode(encoder);
    });
}

#[test]
fn a_known_spec_is_planned_without_the_device() {
    let noop = Noop::new();
    let plan = |spec: &Spec| noop.attention.plan(spec).map(|plan| plan.steps());
    let known = Spec::new(SHAPE);
    assert_eq!(plan(&known), Ok(1));
    noop.device.destroy();
    assert_eq!(plan(&known), Ok(1), "it was kept");
    assert!(plan(&known.lse()).is_err(), "a dead device makes nothing");
    assert_eq!(noop.uncaught(), 0);
}
