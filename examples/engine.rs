//! Attention inside an engine that has its own device, buffers and command encoder.
//!
//! `cargo run --release --example engine`
//!
//! The engine keeps all its tensors in one buffer. It records in one encoder causal self-attention over packed q, k and v,
//! a compute pass of its own that adds the result to the hidden state, and cross-attention from that state to another
//! sequence. Then it submits once. The crate makes pipelines, bind groups and a small uniform buffer for each plan; it never
//! submits, waits or allocates a tensor.

#[path = "support/device.rs"]
mod device;

use std::{ops::Range, process::ExitCode};

use clap::Parser;
// `wgpu_attention::wgpu` is the wgpu that the crate uses: no version to keep in step.
use wgpu_attention::{
    Align, Attention, Bindings, Gpu, Inputs, Layout, Mask, Order, Outputs, Shape, Spec, reference, wgpu,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Records attention into the command encoder of an engine that has its own device and buffers, and checks the results on the CPU.
#[derive(Parser)]
struct Options {}

const HEADS: u32 = 4;
const KV_HEADS: u32 = 2; // of the other sequence: query heads 0 and 1 share key head 0, and so on
const DIM: u32 = 32;
const LEN: u32 = 24;
const OTHER_LEN: u32 = 40;

fn main() -> ExitCode {
    let Options {} = Options::parse();
    match pollster::block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("engine: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let (device, queue) = engine_device().await?;
    let arena = Arena::new(&device);
    let host = Host::new();
    for (range, values) in [(&arena.qkv, &host.qkv), (&arena.hidden, &host.hidden), (&arena.other, &host.other)] {
        queue.write_buffer(&arena.buffer, range.start, bytemuck::cast_slice(values));
    }

    // Once, when the engine loads: check the problem against the device, choose kernels, compile (`plan_async` in a browser).
    let attention = Attention::new(&device);
    let (self_plan, cross_plan) = (attention.plan(self_spec())?, attention.plan(cross_spec())?);

    // Once per set of buffers: check ranges and usages, make bind groups. q, k and v are one slice: where each lies in it,
    // the spec says.
    let qkv = arena.slice(&arena.qkv);
    let self_attention = self_plan.bind(&Bindings::new().q(qkv).k(qkv).v(qkv).out(arena.slice(&arena.attended)))?;
    let (hidden, other) = (arena.slice(&arena.hidden), arena.slice(&arena.other));
    let cross_attention = cross_plan.bind(&Bindings::new().q(hidden).k(other).v(other).out(arena.slice(&arena.out)))?;
    let residual = Residual::new(&device, &arena);

    // Every frame: record. Nothing is left that could fail, and wgpu orders the passes by the buffers that they share.
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    self_attention.encode(&mut encoder);
    residual.encode(&mut encoder);
    cross_attention.encode(&mut encoder);
    let staging = arena.stage(&device, &mut encoder);
    queue.submit([encoder.finish()]);

    device::print_device(&device);
    println!(
        "recorded    self-attention ({} dispatch), residual, cross-attention ({})",
        self_attention.steps(),
        cross_attention.steps()
    );
    println!("submitted   once; one buffer of {} bytes holds every tensor", arena.buffer.size());
    verify(&host, &read(&device, &staging).await?)
}

/// A device as any engine has it: no optional feature, default limits. `WGPU_ADAPTER_NAME` chooses the adapter.
async fn engine_device() -> Result<(wgpu::Device, wgpu::Queue)> {
    let adapter = Gpu::adapter(wgpu::PowerPreference::HighPerformance).await?;
    Ok(adapter.request_device(&wgpu::DeviceDescriptor::default()).await?)
}

/// Causal self-attention. One projection wrote q, k and v as `[LEN, 3, HEADS, DIM]`: three layouts of one range.
fn self_spec() -> Spec {
    let shape =
        Shape { batch: 1, q_heads: HEADS, kv_heads: HEADS, q_len: LEN, kv_len: LEN, head_dim: DIM, value_dim: DIM };
    Spec::new(shape)
        .mask(Mask::causal())
        .align(Align::Start)
        .q_layout(Layout::packed(0, 3, HEADS, LEN, DIM))
        .k_layout(Layout::packed(1, 3, HEADS, LEN, DIM))
        .v_layout(Layout::packed(2, 3, HEADS, LEN, DIM))
        .order(Order::Bshd) // of out, the only one not set by name
        .shared_buffer() // out is written in the buffer that q, k and v are read from
}

/// Cross-attention: the hidden state `[LEN, HEADS, DIM]` asks, `[OTHER_LEN, 2, KV_HEADS, DIM]` answers.
fn cross_spec() -> Spec {
    let shape = Shape { kv_heads: KV_HEADS, kv_len: OTHER_LEN, ..*self_spec().shape() };
    Spec::new(shape)
        .order(Order::Bshd)
        .k_layout(Layout::packed(0, 2, KV_HEADS, OTHER_LEN, DIM))
        .v_layout(Layout::packed(1, 2, KV_HEADS, OTHER_LEN, DIM))
        .shared_buffer()
}

/// The engine's memory: one buffer, and where each tensor lies in it, in bytes.
struct Arena {
    buffer: wgpu::Buffer,
    qkv: Range<u64>,
    attended: Range<u64>,
    hidden: Range<u64>,
    other: Range<u64>,
    out: Range<u64>,
}

impl Arena {
    fn new(device: &wgpu::Device) -> Self {
        // A binding starts where the device lets it: at multiples of 256 bytes at most.
        let align = u64::from(device.limits().min_storage_buffer_offset_alignment);
        let state = LEN * HEADS * DIM;
        let mut end = 0_u64;
        let [qkv, attended, hidden, other, out] =
            [3 * state, state, state, OTHER_LEN * 2 * KV_HEADS * DIM, state].map(|elements| {
                let start = end.next_multiple_of(align);
                end = start + 4 * u64::from(elements);
                start..end
            });
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let descriptor = wgpu::BufferDescriptor { label: Some("arena"), size: end, usage, mapped_at_creation: false };
        Self { buffer: device.create_buffer(&descriptor), qkv, attended, hidden, other, out }
    }

    fn slice(&self, range: &Range<u64>) -> wgpu::BufferSlice<'_> {
        self.buffer.slice(range.clone())
    }

    fn binding(&self, range: &Range<u64>) -> wgpu::BindingResource<'_> {
        let size = wgpu::BufferSize::new(range.end - range.start);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: range.start, size })
    }

    /// Copies the two results where the host can read them, one behind the other.
    fn stage(&self, device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder) -> wgpu::Buffer {
        let size = self.out.end - self.out.start;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let descriptor =
            wgpu::BufferDescriptor { label: Some("results"), size: 2 * size, usage, mapped_at_creation: false };
        let staging = device.create_buffer(&descriptor);
        encoder.copy_buffer_to_buffer(&self.buffer, self.attended.start, &staging, 0, size);
        encoder.copy_buffer_to_buffer(&self.buffer, self.out.start, &staging, size, size);
        staging
    }
}

/// A pass of the engine's own: adds what self-attention found to the hidden state.
struct Residual {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

impl Residual {
    /// Both are `read_write`: one dispatch may not bind a buffer both as readable and as writable.
    const WGSL: &str = "
        @group(0) @binding(0) var<storage, read_write> hidden: array<f32>;
        @group(0) @binding(1) var<storage, read_write> attended: array<f32>;

        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
          if id.x < arrayLength(&hidden) { hidden[id.x] += attended[id.x]; }
        }";

    fn new(device: &wgpu::Device, arena: &Arena) -> Self {
        let source = wgpu::ShaderSource::Wgsl(Self::WGSL.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("residual"), source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("residual"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let entry = |binding, range| wgpu::BindGroupEntry { binding, resource: arena.binding(range) };
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("residual"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[entry(0, &arena.hidden), entry(1, &arena.attended)],
        });
        Self { pipeline, group }
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups((LEN * HEADS * DIM).div_ceil(64), 1, 1);
    }
}

/// What the host uploads: any numbers.
struct Host {
    qkv: Vec<f32>,
    hidden: Vec<f32>,
    other: Vec<f32>,
}

impl Host {
    fn new() -> Self {
        let state = LEN * HEADS * DIM;
        let wave = |len: u32, step: f32| (0..len).map(|i| 1.5 * (i as f32 * step).sin()).collect();
        Self {
            qkv: wave(3 * state, 0.37),
            hidden: wave(state, 0.23),
            other: wave(OTHER_LEN * 2 * KV_HEADS * DIM, 0.71),
        }
    }
}

/// The results of both attentions.
async fn read(device: &wgpu::Device, staging: &wgpu::Buffer) -> Result<[Vec<f32>; 2]> {
    staging.map_async(wgpu::MapMode::Read, .., drop);
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let bytes = staging.get_mapped_range(..)?;
    let (attended, out) = bytes.split_at(bytes.len() / 2);
    Ok([attended, out].map(bytemuck::pod_collect_to_vec))
}

/// Does the same on the CPU. The reference takes the same specs and reads the packed tensors as they are.
fn verify(host: &Host, [attended, out]: &[Vec<f32>; 2]) -> Result<()> {
    let Host { qkv, hidden, other } = host;
    check("self-attention", &self_spec(), &Inputs::new(qkv, qkv, qkv), attended)?;
    let hidden: Vec<f32> = hidden.iter().zip(attended).map(|(hidden, attended)| hidden + attended).collect();
    check("cross-attention", &cross_spec(), &Inputs::new(&hidden, other, other), out)
}

fn check(name: &str, spec: &Spec, inputs: &Inputs<'_>, out: &[f32]) -> Result<()> {
    let outputs = Outputs::of(out.to_vec());
    for margin in reference::check(spec, inputs, &outputs).map_err(|wrong| format!("{name}: {wrong}"))? {
        println!("error       {name}: {margin}");
    }
    Ok(())
}
