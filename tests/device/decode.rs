//! A decode loop: one plan and one set of bindings for a cache that grows on the device. Needs an adapter.

use half::f16;
use wgpu_attention::{
    Align, Angles, Bindings, DType, Data, Gpu, Inputs, Layout, Mask, Outputs, Pairs, Rope, Rotary, Shape, Spec, Tensor,
    reference, wgpu,
};

use crate::support::{numbers::numbers, read, stable_gpu};

const STEPS: u32 = 1000;
const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 1, kv_len: STEPS, head_dim: 16, value_dim: 16 };
const ROTARY: Rotary = Rotary { dim: 8, pairs: Pairs::Halves, angles: Angles::Appended { positions: STEPS } };

/// Element counts of a step's queries and of its keys (or values).
const Q: usize = 2 * 4 * 16;
const NEW: usize = 2 * 2 * 16;

fn spec() -> Spec {
    let spec = Spec::new(SHAPE).mask(Mask::causal()).align(Align::End);
    spec.kv_type(DType::F16).new_type(DType::F32).append_rotated(1, ROTARY)
}

struct Decoder {
    gpu: Gpu,
    buffers: Vec<(Tensor, wgpu::Buffer)>,
}

impl Decoder {
    fn buffer(&self, tensor: Tensor) -> &wgpu::Buffer {
        &self.buffers.iter().find(|(found, _)| *found == tensor).expect("the plan binds it").1
    }

    fn write(&self, tensor: Tensor, data: &[impl bytemuck::NoUninit]) {
        self.gpu.queue().write_buffer(self.buffer(tensor), 0, bytemuck::cast_slice(data));
    }

    fn read(&self, tensor: Tensor) -> Vec<u8> {
        read(&self.gpu, self.buffer(tensor))
    }

    fn wait(&self) {
        self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    }

    /// What of the device's is alive: buffers, pipelines, bind groups, shader modules.
    fn alive(&self) -> [isize; 4] {
        let hal = self.gpu.device().get_internal_counters().hal;
        [&hal.buffers, &hal.compute_pipelines, &hal.bind_groups, &hal.shader_modules].map(|counter| counter.read())
    }
}

/// Cosines and sines of the usual angles, `position * 10000^(-2 d / dim)`.
fn tables() -> [Vec<f32>; 2] {
    let angle = |at: u32| f64::from(at / 4) * 10000f64.powf(-2.0 * f64::from(at % 4) / 8.0);
    [f64::cos, f64::sin].map(|of| (0..STEPS * 4).map(|at| of(angle(at)) as f32).collect())
}

#[test]
#[ignore = "needs an adapter"]
fn a_thousand_steps_are_one_plan() {
    let gpu = stable_gpu();
    let plan = gpu.attention().plan(spec()).expect("a legal spec");
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer = |size| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let buffers = plan.views().map(|view| (view.tensor, buffer(view.bytes().expect("a size")))).collect();
    let decoder = Decoder { gpu, buffers };
    let gpu = &decoder.gpu;
    let bindings =
        decoder.buffers.iter().fold(Bindings::new(), |all, (tensor, buffer)| all.set(*tensor, buffer.slice(..)));
    let bound = plan.bind(&bindings).expect("the buffers are right");
    let [cos, sin] = tables();
    decoder.write(Tensor::Cos, &cos);
    decoder.write(Tensor::Sin, &sin);

    let (mut keys, mut alive) = (Vec::new(), [0; 4]);
    for step in 0..STEPS {
        let [q, k, v] = [(Q, 0), (NEW, 1), (NEW, 2)].map(|(count, n)| numbers(count, (3 * step + n).into()));
        decoder.write(Tensor::Q, &q);
        decoder.write(Tensor::NewK, &k);
        decoder.write(Tensor::NewV, &v);
        decoder.write(Tensor::KvLens, &[step; 2]);
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        bound.encode(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
        decoder.wait();
        keys.push(k);
        if step == 0 {
            alive = decoder.alive();
            assert!(alive.iter().all(|&count| count > 0), "the counters count: {alive:?}");
        }
        assert_eq!(decoder.alive(), alive, "step {step} made something");
        if [0, 1, 499, STEPS - 1].contains(&step) {
            check(&decoder, step + 1, &q);
        }
    }
    check_keys(&decoder, &keys);
    println!("{STEPS} steps: {} kernels, {} dispatches each", plan.kernels().count(), plan.steps());
}

/// Rows `[batch, heads, len, dim]`, turned by these positions.
fn turned(rows: &[f32], sizes: [u32; 4], positions: &[u32]) -> Vec<f32> {
    let [cos, sin] = tables();
    let rope = Rope::new(sizes, Rotary { angles: Angles::Ids { positions: STEPS }, ..ROTARY });
    let inputs = Inputs::default().set(Tensor::Q, Data::Floats(rows)).rotary(&cos, &sin).positions(positions);
    reference::rope(&rope, &inputs).into_iter().map(|x| x as f32).collect()
}

/// The output is attention of the query, turned by the position of its key, over the first `len` rows of the cache.
fn check(decoder: &Decoder, len: u32, q: &[f32]) {
    let q = turned(q, [2, 4, 1, 16], &[len - 1; 2]);
    let [k, v] = [Tensor::K, Tensor::V].map(|tensor| floats(&decoder.read(tensor)));
    let cache = Layout { offset: 0, batch: 2 * 1000 * 16, head: 1000 * 16, row: 16 };
    let spec = Spec::new(Shape { kv_len: len, ..SHAPE }).kv_type(DType::F16).k_layout(cache).v_layout(cache);
    let out = bytemuck::pod_collect_to_vec(&decoder.read(Tensor::Out));
    let result = reference::check(&spec, &Inputs::new(&q, &k, &v), &Outputs::of(out));
    result.unwrap_or_else(|wrong| panic!("over {len} keys: {wrong}"));
}

/// Row `i` of the cache is the key of step `i`, turned by position `i`.
fn check_keys(decoder: &Decoder, keys: &[Vec<f32>]) {
    let [cos, sin] = tables();
    let rotary = Rotary { angles: Angles::Ids { positions: STEPS }, ..ROTARY };
    // [steps, batch, heads, dim] as it was given, read as [batch, heads, steps, dim].
    let given = Layout { offset: 0, batch: 2 * 16, head: 16, row: NEW as u64 };
    let rope = Rope::new([2, 2, STEPS, 16], rotary).q_layout(given);
    let positions: Vec<u32> = (0..STEPS).chain(0..STEPS).collect();
    let given = keys.concat();
    let inputs = Inputs::default().set(Tensor::Q, Data::Floats(&given)).rotary(&cos, &sin).positions(&positions);
    let expected = reference::rope(&rope, &inputs);
    for (i, (found, expected)) in floats(&decoder.read(Tensor::K)).into_iter().zip(expected).enumerate() {
        // Rounded to f16 from an f32 that may be off by its last bits.
        let limit = expected.abs() * DType::F16.epsilon() + 1e-6;
        assert!((f64::from(found) - expected).abs() <= limit, "element {i} is {found}, not {expected}");
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec::<u8, u16>(bytes).into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect()
}
