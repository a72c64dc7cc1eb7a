//! What wgpu's own validation says, without a driver: pipelines, bind groups, recording, and every refusal of a buffer.

#[path = "noop/refusals.rs"]
mod refusals;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use wgpu_attention::{
    Activation, Algorithm, Align, Angles, Attention, Bindings, BlockForm, Bound, Caps, DType, Divergence, Embed, Error,
    Gpu, Grid, Inputs, Layout, Linear, Locate, MapOf, Mask, Measures, Merge, Norm, Order, Pairs, Plan, Pool, Problem,
    Progress, Rope, Rotary, ScoreStage, Shape, Slopes, Spec,
    kernels::{Choice, Kernel, Needs, Program},
    params::Params,
    shader::{Kind, declared},
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
fn pipeline(device: &wgpu::Device, wgsl: &str) -> wgpu::ComputePipeline {
    let entry = |declared: wgpu_attention::shader::Declared| {
        let ty = match declared.kind {
            Kind::Uniform => wgpu::BufferBindingType::Uniform,
            kind => wgpu::BufferBindingType::Storage { read_only: kind == Kind::Read },
        };
        let size = wgpu::BufferSize::new(if declared.kind == Kind::Uniform { size_of::<Params>() as u64 } else { 0 });
        let ty = wgpu::BindingType::Buffer { ty, has_dynamic_offset: size.is_some(), min_binding_size: size };
        let visibility = wgpu::ShaderStages::COMPUTE;
        wgpu::BindGroupLayoutEntry { binding: declared.binding, visibility, ty, count: None }
    };
    let entries: Vec<_> = declared(wgsl).into_iter().map(entry).collect();
    let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let layout = wgpu::PipelineLayoutDescriptor { bind_group_layouts: &[Some(&group)], ..Default::default() };
    let source = wgpu::ShaderSource::Wgsl(wgsl.into());
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: Some(&device.create_pipeline_layout(&layout)),
        module: &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source }),
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

#[test]
fn every_kernel_is_a_pipeline_at_default_limits() {
    let noop = Noop::new();
    let kernels = Kernel::all(&[Caps::webgpu()]);
    assert!(kernels.iter().all(|kernel| kernel.needs() == Needs::default()), "every WebGPU device runs them");
    for kernel in &kernels {
        pipeline(&noop.device, &kernel.shader().source());
        assert_eq!(noop.uncaught(), 0, "{kernel:?}");
    }
    println!("{} kernels", kernels.len());
    let text = kernels[0].shader().source();
    for (part, other) in [("<storage, read>", "<storage, read_write>"), ("params: Params", "params: vec4<u32>")] {
        pipeline(&noop.device, &text.replacen(part, other, 1).replacen("(THREADS)", "(512)", 1));
    }
    assert!(noop.uncaught() > 0, "validation is on");
}

/// Shapes and layouts on both sides of each edge, each with every choice of outputs.
fn specs() -> Vec<Spec> {
    let masked = |spec: Spec| spec.mask(Mask::causal().and(Mask::window(Some(2), None))).align(Align::End);
    let shapes = [
        SHAPE,
        Shape { q_len: 70, kv_len: 130, head_dim: 5, value_dim: 3, ..SHAPE },
        Shape { batch: 1, q_len: 1, kv_len: 300, head_dim: 128, value_dim: 256, ..SHAPE },
        Shape { head_dim: 512, value_dim: 512, ..SHAPE },
        Shape { batch: 70000, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 1, value_dim: 1 },
    ];
    let token = Layout { offset: 4, batch: 1 << 10, head: 8, row: 100 };
    let plain = shapes.map(Spec::new).into_iter();
    let layouts = [Spec::new(SHAPE).order(Order::Bshd), Spec::new(SHAPE).q_layout(token).out_layout(token)];
    let outputs = |spec: Spec| {
        let wants = [spec.clone(), spec.clone().lse(), spec.clone().weights(), spec.clone().scores(ScoreStage::Masked)];
        let all = spec.clone().lse().weights().scores(ScoreStage::Scaled);
        wants.into_iter().chain([all, masked(spec).lse()])
    };
    plain.chain(layouts).flat_map(outputs).flat_map(|spec| [spec.clone(), spec.shared_buffer()]).collect()
}

/// Each feature alone, and all that go together.
fn features() -> Vec<Problem> {
    let shape = Shape { q_len: 70, kv_len: 130, ..SHAPE };
    let (spec, packed) = (Spec::new(shape), Spec::new(Shape { batch: 1, ..shape }).packed(3));
    let square = Layout::broadcast(&[70, 130]).expect("two sizes");
    let rotary = |angles| Rotary { dim: 4, pairs: Pairs::Halves, angles };
    let masked =
        |spec: Spec| spec.bias(square, 130).keep(square, 130).alibi(Slopes::BatchHead).align(Align::End).sinks();
    let form = BlockForm { q_len: 70, kv_len: 130, block: 16, heads: 1, partial: 9 };
    let mut specs = vec![
        spec.clone().bias(square, 130),
        spec.clone().keep(square, 130).keep_type(DType::Bit),
        spec.clone().block_mask(form),
        masked(spec.clone().block_mask(form)).lse(),
        spec.clone().alibi(Slopes::Head).align(Align::End),
        spec.clone().softcap(3.0).sinks(),
        spec.clone().additive().head_scales().weights().scores(ScoreStage::Capped),
        spec.clone().append(2),
        Spec::new(Shape { q_len: 130, kv_len: 130, ..SHAPE }).grid(Grid::neighbourhood(10, 13, 5).biased()).weights(),
        spec.clone().q_type(DType::F16).kv_type(DType::Bf16).out_type(DType::F16),
        spec.clone().lse().without_out(),
        spec.clone().weights().only(1..3, 2..60),
        masked(packed.clone()).lse().weights(),
        masked(spec.clone().kv_lens()).lse().weights().scores(ScoreStage::Masked),
        packed,
    ];
    let angles = [Angles::Appended { positions: 9 }, Angles::Ids { positions: 9 }, Angles::Rows];
    specs.extend(angles.map(|angles| spec.clone().append_rotated(2, rotary(angles))));
    let ropes = angles.map(|angles| Problem::from(Rope::new([2, 4, 70, 6], rotary(angles))));
    let merges = [Merge::new(3, [2, 4, 70, 8]), Merge::new(3, [2, 4, 70, 7]).lse().sinks()].map(Problem::from);
    let comparison = Divergence::new([2, 4, 70, 130]);
    let comparisons = [comparison.clone(), comparison.shared_buffer()].map(Problem::from);
    let locates =
        [Locate::new([2, 4, 70, 8], 3, 5), Locate::new([2, 4, 70, 7], 1, 1).one_alignment()].map(Problem::from);
    let measures = specs.iter().map(|spec| Measures::of(spec).ranges(2).top(5).received());
    let measures = measures.map(|measures| Problem::from(measures.map(20, 30, Pool::Sum, MapOf::EachHead)));
    let measures: Vec<_> = measures.filter(|problem| problem.check().is_ok()).collect();
    assert!(measures.len() > 6, "all but those that append");
    let others = ropes.into_iter().chain(merges).chain(comparisons).chain(locates).chain(measures).chain(layers());
    specs.into_iter().map(Problem::from).chain(others).collect()
}

/// The parts of a layer beside attention.
fn layers() -> [Problem; 6] {
    [
        Linear::new(70, 48, 96).shift().residual().activation(Activation::Silu).into(),
        Linear::new(3, 48, 90).shared_buffer().into(),
        Norm::layer(70, 48, 1e-5).residual().into(),
        Norm::unit(70, 47, 1e-5).out_type(DType::Bf16).into(),
        Embed::new(70, 90, 48).positions(90, 20, 70).into(),
        Embed::new(70, 90, 47).table_type(DType::F16).into(),
    ]
}

/// Devices on which a problem is one piece, and on which it is many.
fn devices(noop: &Noop) -> [Attention; 3] {
    let short = Caps { binding_bytes: 8192, workgroups: 5, ..Caps::webgpu() };
    [noop.attention.clone(), Attention::checked(&noop.device), noop.attention.limited(short)]
}

/// The plans for a problem, by every algorithm that can compute it.
fn plans(attention: &Attention, problem: &Problem) -> Vec<Plan> {
    let made = match problem {
        Problem::Attention(spec) => Algorithm::candidates(spec, attention.caps())
            .expect("a legal spec")
            .into_iter()
            .map(|algorithm| attention.plan_with(algorithm, spec))
            .collect(),
        _ => vec![attention.plan(problem)],
    };
    let short = attention.caps().binding_bytes == 8192;
    let plans = made.into_iter().filter_map(|plan| match plan {
        // A table of cosines, or the parts of a merge, that one dispatch needs whole; very many pieces.
        Err(Error::BindingLimit { .. } | Error::TooLarge { .. }) if short => None,
        plan => Some(plan.unwrap_or_else(|error| panic!("{problem:?}: {error}"))),
    });
    plans.inspect(|plan| assert_eq!(plan.problem(), problem)).collect()
}

#[test]
fn every_program_binds_and_records() {
    let noop = Noop::new();
    let problems: Vec<_> = specs().into_iter().map(Problem::from).chain(features()).collect();
    let (mut seen, mut cut) = (BTreeMap::new(), 0);
    for attention in devices(&noop) {
        for plan in problems.iter().flat_map(|problem| plans(&attention, problem)) {
            let bound = noop.bound(&plan);
            noop.submitted(|encoder| bound.encode(encoder));
            cut += usize::from(plan.steps() > 2 * plan.kernels().count());
            plan.kernels().for_each(|name| *seen.entry(name).or_insert(0) += 1);
        }
    }
    println!("{cut} plans of pieces; kernels: {seen:?}");
    assert!(cut > 20, "few problems were cut");
    let all: BTreeSet<_> = Kernel::NAMES.into_iter().filter(|name| *name != "matrix").collect();
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), all, "all but matrices, which this device does not have");
}

#[test]
fn steps_cover_the_work_once() {
    let long = Shape { q_len: 40000, kv_len: 40000, head_dim: 64, value_dim: 64, batch: 1, ..SHAPE };
    let caps = [Caps { binding_bytes: 1 << 40, ..Caps::webgpu() }, Caps { workgroups: 3, ..Caps::webgpu() }];
    for spec in specs().into_iter().chain([Spec::new(long)]) {
        for program in caps.iter().filter_map(|caps| Program::new(&spec, caps, Choice::Suggested).ok()) {
            let shape = spec.shape();
            let mut ends = vec![0; program.groups.len()];
            for step in &program.steps {
                let Params { first, end, grid_x, .. } = step.params;
                let [x, y] = step.grid;
                let share = program.kernels[program.groups[step.group].kernel].shader().workgroup().items();
                let workgroups = (end - first).div_ceil(share);
                assert_eq!(first, ends[step.group], "steps follow one another");
                assert!(first < end && x == grid_x && x * y >= workgroups && x * (y - 1) < workgroups);
                ends[step.group] = end;
            }
            for (index, (group, end)) in program.groups.iter().zip(ends).enumerate() {
                let tile = program.kernels[group.kernel].shader().workgroup();
                if tile.rows == 0 {
                    continue; // what merges
                }
                let sharing = if tile.grouped { shape.q_heads / shape.kv_heads } else { 1 };
                let blocks = (shape.q_len * sharing).div_ceil(tile.rows) * (shape.q_heads / sharing);
                let splits = program.steps.iter().find(|step| step.group == index).map_or(1, |step| step.params.splits);
                assert_eq!(end, shape.batch * blocks * splits);
            }
        }
    }
    let wide = |workgroups| Program::new(&specs()[48], &Caps { workgroups, ..Caps::webgpu() }, Choice::Suggested);
    let grids = |program: Program| program.steps.iter().map(|step| step.grid).collect::<Vec<_>>();
    assert_eq!(wide(65535).map(grids), Ok(vec![[35000, 2]]));
    assert!(wide(300).map(grids).is_ok_and(|grids| grids.iter().all(|grid| grid[0] <= 300 && grid[1] <= 300)));
}

/// Every pair of a query and a key is in one dispatch of the forward kernel of a problem whose tensors are bound in pieces.
#[test]
fn pieces_cover_every_pair_once() {
    let shape = Shape { batch: 3, q_heads: 4, kv_heads: 2, q_len: 90, kv_len: 130, head_dim: 8, value_dim: 8 };
    let square = Layout::broadcast(&[4, 90, 130]).expect("three sizes");
    for order in [Order::Bhsd, Order::Bshd] {
        for binding_bytes in [1024, 2048, 4096, 8192, 1 << 20] {
            let caps = Caps { binding_bytes, ..Caps::webgpu() };
            let spec = Spec::new(shape).order(order).bias(square, 130);
            let program = Program::new(spec, &caps, Choice::Suggested).expect("a row is short");
            let mut times = vec![0; 3 * 4 * 90 * 130];
            for step in &program.steps {
                let group = &program.groups[step.group];
                let windows = &group.windows;
                assert!(
                    windows.iter().all(|window| window.bytes.end - window.bytes.start <= binding_bytes),
                    "{windows:?}"
                );
                if program.kernels[group.kernel].shader().name() != "tile" {
                    continue;
                }
                let p = step.params;
                let planes = (p.first / p.blocks..p.end.div_ceil(p.blocks))
                    .map(|n| (p.batch0 + n / p.heads, p.head0 + n % p.heads));
                assert!(p.first == 0, "a piece is one dispatch here");
                for (batch, head) in planes {
                    for (row, key) in (p.row0..p.row_end).flat_map(|row| (p.key0..p.key_end).map(move |key| (row, key)))
                    {
                        times[(((batch * 4 + head) * 90 + row) * 130 + key) as usize] += 1;
                    }
                }
            }
            assert!(times.iter().all(|&times| times == 1), "{order:?} {binding_bytes}");
        }
    }
}

#[test]
fn ranges_of_steps_are_recorded_or_refused() {
    let noop = Noop::new();
    let plan = noop.attention.plan(Spec::new(SHAPE).sinks().weights()).expect("the spec is fine");
    let bound = noop.bound(&plan);
    assert_eq!(plan.kernels().collect::<Vec<_>>(), ["pack", "row", "scores"]);
    assert_eq!((plan.steps(), bound.steps()), (3, 3));
    for steps in [0..3, 0..1, 1..3, 2..2, 0..0, 3..3] {
        noop.submitted(|encoder| assert_eq!(bound.encode_steps(encoder, steps.clone()), Ok(())));
    }
    for (start, end) in [(0, 4), (3, 4), (2, 1), (4, 4), (usize::MAX, usize::MAX), (0, usize::MAX)] {
        let refusal = Err(Error::Steps { from: start, to: end, steps: 3 });
        noop.submitted(|encoder| assert_eq!(bound.encode_steps(encoder, Range { start, end }), refusal));
    }
}

#[test]
fn plans_share_an_encoder_and_a_pass() {
    let noop = Noop::new();
    let [a, b] = [Spec::new(SHAPE), Spec::new(SHAPE).weights().lse()].map(|spec| noop.attention.plan(&spec));
    let (a, b) = (a.expect("the spec is fine"), b.expect("the spec is fine"));
    let other = pipeline(&noop.device, "@compute @workgroup_size(1) fn main() {}");
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

#[test]
fn gpu_runs_and_reads_back() {
    let noop = Noop::new();
    let gpu = Gpu::from_device(noop.device.clone(), noop.queue.clone());
    let spec = Spec::new(SHAPE).lse().weights().scores(ScoreStage::Scaled);
    let (q, k, v) = ([1.0; 192], [1.0; 160], [1.0; 160]);
    let mut progress = Vec::new();
    for _ in 0..2 {
        let inputs = Inputs::new(&q, &k, &v);
        let Poll::Ready(outputs) = spin(gpu.run_with_progress(&spec, &inputs, |at| progress.push(at))) else {
            panic!("it never ends");
        };
        let outputs = outputs.expect("the device is there");
        let lengths = [Some(&outputs.out), outputs.lse.as_ref(), outputs.weights.as_ref(), outputs.scores.as_ref()];
        assert_eq!(lengths.map(|data| data.map(Vec::len)), [192, 24, 120, 120].map(Some));
    }
    let steps = [1, 2, 3].map(|done| Progress { done, steps: 3 });
    assert_eq!(progress, [steps, steps].concat());
    assert_eq!(noop.uncaught(), 0);
}

#[test]
fn comparisons_are_refused_or_run_to_the_end() {
    let noop = Noop::new();
    let gpu = Gpu::from_device(noop.device.clone(), noop.queue.clone());
    let spec = Spec::new(SHAPE);
    let (data, one) = ([1.0; 192], Spec::new(Shape { batch: 1, ..SHAPE }));
    let inputs = Inputs::without_values(&data, &data);
    let refused = |one: &Spec, other: &Spec| {
        gpu.compare((one, &inputs), (other, &inputs)).expect_err("it is refused").to_string()
    };
    let differ = |other: &Spec| refused(&spec, other);
    for (shape, said) in [
        (Shape { batch: 1, ..SHAPE }, "batch: 2 and 1"),
        (Shape { q_heads: 2, ..SHAPE }, "q_heads: 4 and 2"),
        (Shape { q_len: 4, ..SHAPE }, "q_len: 3 and 4"),
        (Shape { kv_len: 6, ..SHAPE }, "kv_len: 5 and 6"),
    ] {
        assert_eq!(differ(&Spec::new(shape)), format!("attentions that are compared differ in {said}"));
    }
    assert_eq!(differ(&spec.clone().only(0..2, 0..3)), "attentions that are compared differ in heads: 0..4 and 0..2");
    let rows = [1..3, 0..2].map(|rows| spec.clone().only(0..4, rows));
    assert_eq!(refused(&rows[0], &rows[1]), "attentions that are compared differ in rows: 1..3 and 0..2");
    let append = "compare does not go with append: append first, and compare with the new lengths";
    assert_eq!(refused(&spec.clone().append(1), &spec), append);
    assert_eq!(differ(&spec.clone().append(1)), append);
    assert_eq!(differ(&spec.clone().sinks()), "input sinks has 0 elements, needs 4");
    assert_eq!(differ(&Spec::new(Shape { head_dim: 600, ..SHAPE })), "head_dim 600 is above 512");
    let short = Inputs::without_values(&data[1..], &data);
    let refusal = gpu.compare((&spec, &inputs), (&spec, &short));
    assert_eq!(refusal, Err(Error::Input { name: "q", got: 191, needs: 192 }));
    // Values may be there, of any length; all that is written does not count; other heads share keys.
    let other =
        Spec::new(Shape { kv_heads: 1, value_dim: 512, ..SHAPE }).lse().scores(ScoreStage::Masked).without_out();
    let Poll::Ready(outputs) = spin(gpu.compare_async((&spec, &inputs), (&other, &Inputs::new(&data, &data, &[]))))
    else {
        panic!("it never ends");
    };
    assert_eq!(outputs.expect("the device is there").divergence.map(|rows| rows.len()), Some(2 * 4 * 3 * 2));
    assert_eq!(gpu.compare((&one, &inputs), (&one, &inputs)).map(|outputs| outputs.out.len()), Ok(0));
    assert_eq!(noop.uncaught(), 0);
}

/// Polls for at most ten seconds, and never polls the device: the library does.
fn spin<T>(future: impl Future<Output = T>) -> Poll<T> {
    let (mut future, start) = (pin!(future), std::time::Instant::now());
    while start.elapsed().as_secs() < 10 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Poll::Ready(value);
        }
        std::thread::yield_now();
    }
    Poll::Pending
}

#[test]
fn values_and_futures_cross_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>(_: T) {}
    shared::<(Attention, Plan, Bound, Gpu, Spec, Error, Bindings<'_>)>();
    let noop = Noop::new();
    let (spec, gpu) = (Spec::new(SHAPE), Gpu::from_device(noop.device.clone(), noop.queue.clone()));
    let inputs = Inputs::new(&[], &[], &[]);
    sent(noop.attention.plan_async(&spec));
    sent(noop.attention.plan_with_async(Algorithm::Tile, &spec));
    sent(gpu.run_async(&spec, &inputs));
    sent(gpu.run_with_progress(&spec, &inputs, |_| ()));
    sent(gpu.compare_async((&spec, &inputs), (&spec, &inputs)));
    sent(gpu.compare_with_progress((&spec, &inputs), (&spec, &inputs), |_| ()));
    sent(Gpu::request());
    let plan = now(noop.attention.plan_async(&spec)).expect("it never waits natively");
    let buffers = noop.buffers(&plan);
    sent(plan.bind_async(&bindings(&plan, &buffers)));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| specs().iter().take(30).for_each(|spec| assert!(noop.attention.plan(spec).is_ok())));
        }
    });
    assert_eq!(noop.uncaught(), 0);
}
