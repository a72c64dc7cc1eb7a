//! What planning, binding and recording cost the host, on a device that computes nothing. See README.md beside this.

use std::hint::black_box;

use criterion::Criterion;
use wgpu_attention::{
    Algorithm, Align, Attention, Bindings, Error, Mask, Plan, Shape, Spec,
    wgpu::{self, BufferUsages},
};

/// A decoding step of a large model, one dispatch, and a prompt of it, in several so that the cost of each shows.
fn problems() -> [(&'static str, Algorithm, Spec); 2] {
    let decode = Shape { batch: 1, q_heads: 32, kv_heads: 8, q_len: 1, kv_len: 4096, head_dim: 128, value_dim: 128 };
    let prompt = Shape { q_len: 4096, ..decode };
    let causal = |shape| Spec::new(shape).mask(Mask::causal()).align(Align::End);
    [("decode", Algorithm::Decode, causal(decode)), ("prompt", Algorithm::Tile, causal(prompt))]
}

/// One buffer for each tensor of a plan.
fn buffers(device: &wgpu::Device, plan: &Plan) -> Result<Vec<wgpu::Buffer>, Error> {
    let make = |bytes| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    };
    plan.views().map(|view| view.bytes().map(make)).collect()
}

fn bindings<'a>(plan: &Plan, buffers: &'a [wgpu::Buffer]) -> Bindings<'a> {
    let set = |bindings: Bindings<'a>, (tensor, buffer): (_, &'a wgpu::Buffer)| bindings.set(tensor, buffer.slice(..));
    plan.views().map(|view| view.tensor).zip(buffers).fold(Bindings::new(), set)
}

fn main() -> Result<(), Error> {
    let mut criterion = Criterion::default().configure_from_args();
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    for (name, algorithm, spec) in problems() {
        problem(&mut criterion, (&device, &queue), (name, algorithm, &spec))?;
    }
    empty_encoder(&mut criterion, &device);
    criterion.final_summary();
    Ok(())
}

fn problem(
    criterion: &mut Criterion,
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    (name, algorithm, spec): (&str, Algorithm, &Spec),
) -> Result<(), Error> {
    let attention = Attention::new(device);
    let plan = attention.plan_with(algorithm, spec)?;
    let buffers = buffers(device, &plan)?;
    let bindings = bindings(&plan, &buffers);
    let bound = plan.bind(&bindings)?;
    let mut group = criterion.benchmark_group(format!("{name} (steps {})", bound.steps()));
    group.bench_function("plan, first time", |bencher| {
        bencher.iter(|| {
            let plan = Attention::new(device).plan_with(algorithm, black_box(spec));
            queue.submit([]); // Else every plan's upload stays alive, and slows down all that is recorded later.
            plan
        });
    });
    group.bench_function("plan, again", |bencher| {
        bencher.iter(|| attention.plan_with(algorithm, black_box(spec)));
    });
    group.bench_function("bind", |bencher| bencher.iter(|| plan.bind(black_box(&bindings))));
    group.bench_function("encode and finish", |bencher| {
        bencher.iter(|| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            bound.encode(&mut encoder);
            encoder.finish()
        });
    });
    group.finish();
    Ok(())
}

/// What any recording costs: an encoder, an empty pass, a command buffer.
fn empty_encoder(criterion: &mut Criterion, device: &wgpu::Device) {
    criterion.bench_function("empty pass and finish", |bencher| {
        bencher.iter(|| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            encoder.finish()
        });
    });
}
