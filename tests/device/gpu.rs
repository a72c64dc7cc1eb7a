//! `Gpu`: reuse between calls, several callers at once, executors that never poll, progress. Needs an adapter.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use wgpu_attention::{
    Algorithm, Align, Bindings, Error, Gpu, Inputs, Mask, Outputs, Progress, Shape, Spec, reference, wgpu,
};

use crate::support::{lesser_gpu, numbers::numbers, stable_gpu};

const SHAPE: Shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 40, kv_len: 70, head_dim: 12, value_dim: 20 };

/// Seeded inputs of [`SHAPE`].
fn inputs(seed: u64) -> [Vec<f32>; 3] {
    [numbers(2 * 40 * 12, seed), numbers(70 * 12, seed + 1), numbers(70 * 20, seed + 2)]
}

fn check(gpu: &Gpu, spec: &Spec, seed: u64) {
    let [q, k, v] = inputs(seed);
    let inputs = Inputs::new(&q, &k, &v);
    let outputs = gpu.run(spec, &inputs).expect("it runs");
    reference::check(spec, &inputs, &outputs).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
}

#[test]
#[ignore = "needs an adapter"]
fn a_spec_seen_before_makes_no_pipeline_and_no_buffer() {
    let gpu = stable_gpu();
    let spec = Spec::new(SHAPE).mask(Mask::causal()).align(Align::End).lse();
    check(&gpu, &spec, 1);
    let made = || {
        let hal = gpu.device().get_internal_counters().hal;
        (hal.buffers.read(), hal.compute_pipelines.read(), hal.bind_groups.read(), hal.shader_modules.read())
    };
    let before = made();
    assert!(before.0 > 0 && before.1 > 0, "the counters count: {before:?}");
    for seed in 2..6 {
        check(&gpu, &spec, seed);
    }
    assert_eq!(made(), before);
    gpu.clear();
    check(&gpu, &spec, 7);
}

#[test]
#[ignore = "needs an adapter"]
fn threads_share_a_gpu() {
    let gpu = stable_gpu();
    let specs = [Spec::new(SHAPE), Spec::new(SHAPE).weights()];
    thread::scope(|scope| {
        for n in 0..4 {
            let (gpu, specs) = (&gpu, &specs);
            scope.spawn(move || (0..5).for_each(|seed| check(gpu, &specs[seed % 2], (10 * n + seed) as u64)));
        }
    });
}

/// Counts wake-ups and unparks a thread: an executor that knows nothing of devices.
struct Unpark(thread::Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.unpark();
    }
}

#[test]
#[ignore = "needs an adapter"]
fn futures_finish_under_an_executor_that_never_polls_the_device() {
    let waker = Arc::new(Unpark(thread::current(), AtomicUsize::new(0)));
    let wakes = Waker::from(waker.clone());
    // The device may be done before the first poll, but not every time.
    for _ in 0..100 {
        let ([q, k, v], spec) = (inputs(3), Spec::new(SHAPE));
        let work = async move {
            let gpu = Gpu::request().await?;
            gpu.run_async(&spec, &Inputs::new(&q, &k, &v)).await
        };
        let mut work: Pin<Box<dyn Future<Output = Result<Outputs<f32>, Error>> + Send>> = Box::pin(work);
        let outputs = loop {
            match work.as_mut().poll(&mut Context::from_waker(&wakes)) {
                Poll::Ready(outputs) => break outputs.expect("it runs"),
                Poll::Pending => thread::park(),
            }
        };
        assert_eq!(outputs.out().len(), 2 * 40 * 20);
        if waker.1.load(Ordering::Relaxed) > 0 {
            return;
        }
    }
    panic!("nothing was waited for");
}

#[test]
#[ignore = "needs an adapter"]
fn progress_counts_to_the_end() {
    let gpu = stable_gpu();
    // Too much for one dispatch if the mask did not empty nearly all of it: dispatches are cut as if it did not.
    let len = 16384;
    let shape = Shape { q_len: len, kv_len: len, head_dim: 256, value_dim: 4, ..SHAPE };
    let spec = Spec::new(shape).mask(Mask::window(Some(2), Some(2))).align(Align::Start);
    let (q, k, v) = (numbers(2 * 256 * len as usize, 1), numbers(256 * len as usize, 2), numbers(4 * len as usize, 3));
    let mut seen = Vec::new();
    let inputs = Inputs::new(&q, &k, &v);
    let run = gpu.run_with_progress(&spec, &inputs, |progress| seen.push(progress));
    pollster::block_on(run).expect("it runs");
    let steps = gpu.attention().plan(&spec).expect("it plans").steps();
    assert!(steps > 1, "one step shows no progress");
    assert_eq!(seen, (1..=steps).map(|done| Progress { done, steps }).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs an adapter"]
fn inputs_too_short_are_refused_and_the_next_call_works() {
    let (gpu, spec) = (stable_gpu(), Spec::new(SHAPE));
    let [q, k, v] = inputs(1);
    let refused = gpu.run(&spec, &Inputs::new(&q, &k[1..], &v));
    assert_eq!(refused, Err(Error::Input { name: "k", got: 70 * 12 - 1, needs: 70 * 12 }));
    check(&gpu, &spec, 1);
}

#[test]
#[ignore = "needs an adapter"]
fn buffers_are_read_in_whole_elements() {
    let gpu = stable_gpu();
    let usage = wgpu::BufferUsages::COPY_SRC;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false };
    let buffer = gpu.device().create_buffer(&descriptor);
    assert_eq!(gpu.read::<u32>(&buffer), Ok(vec![0]));
    assert_eq!(gpu.read::<[u32; 4]>(&buffer), Err(Error::Size { name: "to read", got: 4, needs: 16 }));
}

#[test]
#[ignore = "needs an adapter"]
fn a_device_with_the_least_limits_and_no_feature() {
    let gpu = lesser_gpu(wgpu::Features::empty(), wgpu::Limits::default());
    assert_eq!(gpu.attention().caps().workgroup_bytes, 16384);
    check(&gpu, &Spec::new(SHAPE).lse(), 1);
    check(&gpu, &Spec::new(SHAPE).weights(), 2);
}

/// Rows that belong to no sequence are 0, whatever an earlier call with other lengths wrote there.
#[test]
#[ignore = "needs an adapter"]
fn rows_of_no_sequence_are_zero_in_later_calls() {
    let gpu = stable_gpu();
    let spec = Spec::new(Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 8, kv_len: 8, head_dim: 4, value_dim: 4 });
    let (spec, data) = (spec.packed(1), numbers(32, 1));
    let run = |end: u32| {
        let ends = [0, end];
        gpu.run(&spec, &Inputs::new(&data, &data, &data).packed(&ends, &ends)).expect("it runs").out().to_vec()
    };
    assert!(run(8).iter().all(|x| *x != 0.0));
    let (inside, outside) = (run(5)[..20].to_vec(), run(5)[20..].to_vec());
    assert!(inside.iter().all(|x| *x != 0.0) && outside == [0.0; 12], "{outside:?}");
}

/// Both are of one instance, in which every buffer has a number of its own.
#[test]
#[ignore = "needs an adapter"]
fn buffers_of_another_gpu_are_refused() {
    let (one, other) = (stable_gpu(), stable_gpu());
    let plan = one.attention().plan(Spec::new(SHAPE)).expect("a legal spec");
    let made = |gpu: &Gpu| {
        let usage = wgpu::BufferUsages::STORAGE;
        let descriptor = wgpu::BufferDescriptor { label: None, size: 1 << 16, usage, mapped_at_creation: false };
        [(); 4].map(|()| gpu.device().create_buffer(&descriptor))
    };
    let (own, foreign) = (made(&one), made(&other));
    let bind = |[q, k, v, out]: [&wgpu::Buffer; 4]| {
        let bindings = Bindings::new().q(q.slice(..)).k(k.slice(..)).v(v.slice(..)).out(out.slice(..));
        plan.bind(&bindings).map(drop)
    };
    assert_eq!(bind(own.each_ref()), Ok(()));
    for n in 0..4 {
        let mut mixed = own.each_ref();
        mixed[n] = &foreign[n];
        let refusal = bind(mixed).expect_err("a buffer of another device");
        assert!(matches!(&refusal, Error::Device { .. }), "{refusal}");
    }
}

#[test]
#[ignore = "needs an adapter"]
fn an_algorithm_can_be_forced_on_values_of_the_host() {
    let (gpu, spec) = (stable_gpu(), Spec::new(SHAPE).lse());
    let [q, k, v] = inputs(7);
    let inputs = Inputs::new(&q, &k, &v);
    for algorithm in [Algorithm::Tile, Algorithm::Row, Algorithm::Decode] {
        let outputs = gpu.run_with(algorithm, &spec, &inputs).expect("it can compute this");
        reference::check(&spec, &inputs, &outputs).unwrap_or_else(|wrong| panic!("{algorithm}: {wrong}"));
    }
    let refusal = gpu.run_with(Algorithm::Matrix, &spec, &inputs).expect_err("these are f32");
    assert!(matches!(&refusal, Error::Kernel { kernel: "matrix", .. }), "{refusal}");
}
