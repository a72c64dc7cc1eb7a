//! Load: many threads, many dispatches, many shapes, two devices. Nothing grows, and every result is right.
//!
//! WGPU_ATTENTION_LOAD multiplies all of it; docs/trust.md has the figures of 100.

use std::{
    thread,
    time::{Duration, Instant},
};

use wgpu_attention::{Align, Bindings, Gpu, Inputs, Mask, Shape, Spec, Tensor, reference, wgpu};

use crate::support::{numbers::numbers, stable_gpu};

/// How much more than what a few seconds allow.
fn load() -> u32 {
    std::env::var("WGPU_ATTENTION_LOAD").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// Attention of other lengths each time. Lengths are no constants of a text, so nothing is compiled anew.
fn drawn(rng: &mut fastrand::Rng) -> Spec {
    let (q_len, kv_len) = (rng.u32(1..80), rng.u32(1..80));
    let shape = Shape { batch: rng.u32(1..3), q_heads: 2, kv_heads: 1, q_len, kv_len, head_dim: 8, value_dim: 8 };
    Spec::new(shape).mask(Mask::causal()).align(Align::End)
}

/// Runs a problem on host memory and compares it with the oracle.
fn check(gpu: &Gpu, spec: &Spec, seed: u64) {
    let numbers = |tensor| numbers(spec.view(tensor).map_or(0, |view| view.extent().expect("small") as usize), seed);
    let [q, k, v] = [Tensor::Q, Tensor::K, Tensor::V].map(numbers);
    let inputs = Inputs::new(&q, &k, &v);
    let outputs = gpu.run(spec, &inputs).expect("it runs");
    reference::check(spec, &inputs, &outputs).unwrap_or_else(|wrong| panic!("{spec:?}: {wrong}"));
}

/// What lives on a device, and bytes of this process.
#[derive(Clone, Copy, Debug)]
struct Alive {
    objects: isize,
    device_bytes: isize,
    /// 0 where the system does not say.
    host_bytes: usize,
}

impl Alive {
    fn of(gpu: &Gpu) -> Self {
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
        let hal = gpu.device().get_internal_counters().hal;
        let counters =
            [&hal.buffers, &hal.bind_groups, &hal.compute_pipelines, &hal.shader_modules, &hal.command_encoders];
        let objects = counters.into_iter().map(|counter| counter.read()).sum();
        Self { objects, device_bytes: hal.buffer_memory.read(), host_bytes: resident() }
    }
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// Runs something in four parts, of which the first may still fill caches.
///
/// # Panics
///
/// If more lives on the device after the last part than after the first, or this process has grown by more than 32 MiB.
fn nothing_grows(gpu: &Gpu, what: &str, mut part: impl FnMut()) {
    let start = Instant::now();
    let alive: Vec<_> = (0..4)
        .map(|_| {
            part();
            Alive::of(gpu)
        })
        .collect();
    println!("{what}, {:?}: {alive:?}", start.elapsed());
    let [first, .., last] = &alive[..] else { unreachable!("there are four") };
    assert!(last.objects <= first.objects + 8, "{what}: objects");
    assert!(last.device_bytes <= first.device_bytes + (64 << 10), "{what}: bytes on the device");
    assert!(last.host_bytes <= first.host_bytes + (32 << 20), "{what}: bytes of the process");
}

/// With no load set 1,200 dispatches of one plan, 100 in a submission.
#[test]
#[ignore = "needs an adapter"]
fn many_dispatches_leave_nothing_behind() {
    let (gpu, mut rng) = (stable_gpu(), fastrand::Rng::with_seed(1));
    let plan = gpu.attention().plan(drawn(&mut rng)).expect("a legal spec");
    let made = |size| {
        let usage = wgpu::BufferUsages::STORAGE;
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let buffers: Vec<_> = plan.views().map(|view| (view.tensor, made(view.bytes().expect("small")))).collect();
    let bindings = buffers.iter().fold(Bindings::new(), |all, (tensor, buffer)| all.set(*tensor, buffer.slice(..)));
    let bound = plan.bind(&bindings).expect("they fit");
    let submissions = 3 * load();
    nothing_grows(&gpu, &format!("{} dispatches", 4 * submissions * 100 * bound.steps() as u32), || {
        for _ in 0..submissions {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            (0..100).for_each(|_| bound.encode(&mut encoder));
            gpu.queue().submit([encoder.finish()]);
            gpu.device().poll(wgpu::PollType::Poll).expect("polling");
        }
    });
}

/// With no load set 1,200 shapes, more than any cache holds; one in ten is compared with the oracle.
#[test]
#[ignore = "needs an adapter"]
fn many_shapes_leave_nothing_behind() {
    let (gpu, mut rng) = (stable_gpu(), fastrand::Rng::with_seed(2));
    let shapes = 300 + 50 * (load() - 1);
    let pipelines = || gpu.device().get_internal_counters().hal.compute_pipelines.read();
    check(&gpu, &drawn(&mut rng), 0);
    nothing_grows(&gpu, &format!("{} shapes", 4 * shapes), || {
        for n in 0..shapes {
            let spec = drawn(&mut rng);
            if n.is_multiple_of(10) {
                check(&gpu, &spec, n.into());
            } else {
                gpu.attention().plan(spec).expect("a legal spec");
            }
        }
    });
    println!("{} pipelines", pipelines());
    assert!(pipelines() < 30, "lengths are no constants of a text");
}

/// With no load set 6 seconds: eight threads plan, bind, run and compare, four on each of two devices.
#[test]
#[ignore = "needs an adapter"]
fn many_threads_on_two_devices_are_right() {
    let gpus = [stable_gpu(), stable_gpu()];
    let runs: Vec<usize> = thread::scope(|scope| {
        let worker = |n: u64| {
            let gpu = &gpus[n as usize % 2];
            move || {
                let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(n));
                let seeds = (0..).take_while(|_| start.elapsed() < Duration::from_secs(6) * load());
                seeds.map(|seed| check(gpu, &drawn(&mut rng), seed)).count()
            }
        };
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(worker(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("every result is right")).collect()
    });
    println!(
        "eight threads compared {runs:?} results with the oracle; {:?}, {:?}",
        Alive::of(&gpus[0]),
        Alive::of(&gpus[1])
    );
    assert!(runs.iter().all(|&runs| runs > 0), "a thread did nothing");
}
