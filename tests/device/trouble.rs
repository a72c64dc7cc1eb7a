//! Devices in trouble: lost before, between and during calls, too slow, with buffers that are destroyed or mapped. Each
//! is an error that can be matched on, soon; nothing panics, and a caller's device keeps its handlers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wgpu_attention::{Attention, Bindings, Error, Gpu, Inputs, Measures, Shape, Spec, wgpu};

use crate::support::{lesser_gpu, numbers::numbers, stable_gpu};

const SHAPE: Shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 40, kv_len: 70, head_dim: 12, value_dim: 20 };

/// Inputs of a problem of one batch item and one key head.
fn values(shape: &Shape) -> [Vec<f32>; 3] {
    let numbers = |len: u32, dim: u32| numbers((len * dim) as usize, 1);
    let Shape { q_heads, q_len, kv_len, head_dim, value_dim, .. } = *shape;
    [numbers(q_heads * q_len, head_dim), numbers(kv_len, head_dim), numbers(kv_len, value_dim)]
}

/// A way of computing something on a device, whatever comes out.
type Call = fn(&Gpu) -> Result<(), Error>;

fn run(gpu: &Gpu) -> Result<(), Error> {
    let [q, k, v] = values(&SHAPE);
    gpu.run(Spec::new(SHAPE), &Inputs::new(&q, &k, &v)).map(drop)
}

const CALLS: [(&str, Call); 5] = [
    ("run", run),
    ("measures", |gpu| {
        let [q, k, _] = values(&SHAPE);
        gpu.run(Measures::of(&Spec::new(SHAPE)).rows().received(), &Inputs::without_values(&q, &k)).map(drop)
    }),
    ("compare", |gpu| {
        let ([q, k, _], spec) = (values(&SHAPE), Spec::new(SHAPE));
        let side = (&spec, &Inputs::without_values(&q, &k));
        gpu.compare(side, side).map(drop)
    }),
    ("plan", |gpu| {
        // A plan that is kept is given out again, whatever became of the device.
        static ROWS: AtomicU32 = AtomicU32::new(100);
        let q_len = ROWS.fetch_add(1, Ordering::Relaxed);
        gpu.attention().plan(Spec::new(Shape { q_len, ..SHAPE })).map(drop)
    }),
    ("read", |gpu| gpu.read::<u32>(&buffer(gpu, wgpu::BufferUsages::COPY_SRC)).map(drop)),
];

fn buffer(gpu: &Gpu, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let descriptor = wgpu::BufferDescriptor { label: None, size: 1 << 16, usage, mapped_at_creation: false };
    gpu.device().create_buffer(&descriptor)
}

/// Runs something and says how long it took.
fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (run(), start.elapsed())
}

#[test]
#[ignore = "needs an adapter"]
fn a_lost_device_is_told_by_every_call_at_once() {
    let gpu = stable_gpu();
    CALLS.iter().for_each(|(name, call)| call(&gpu).unwrap_or_else(|error| panic!("{name}: {error}")));
    assert!(!gpu.is_lost());
    gpu.device().destroy();
    assert!(gpu.is_lost());
    for _ in 0..2 {
        for (name, call) in CALLS {
            let (called, took) = timed(|| call(&gpu));
            assert!(matches!(called, Err(Error::Lost { .. })), "{name}: {called:?}");
            assert!(took < Duration::from_secs(1), "{name}: {took:?}");
        }
    }
    let anew = stable_gpu();
    CALLS.iter().for_each(|(name, call)| call(&anew).unwrap_or_else(|error| panic!("{name}: {error}")));
}

/// Threads in the middle of every kind of call, again and again.
#[test]
#[ignore = "needs an adapter"]
fn a_device_lost_while_threads_run_is_an_error_in_each() {
    let mut slowest = Duration::ZERO;
    for round in 0..12 {
        let gpu = stable_gpu();
        thread::scope(|scope| {
            let until_lost = |n: usize| {
                let gpu = &gpu;
                move || {
                    (0..).find_map(|call| CALLS[(n + call) % CALLS.len()].1(gpu).err()).expect("it is lost in the end")
                }
            };
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(until_lost(n))).collect();
            thread::sleep(Duration::from_millis(20 + 15 * round));
            gpu.device().destroy();
            let lost = Instant::now();
            for thread in threads {
                let error = thread.join().expect("no panic");
                assert!(matches!(error, Error::Lost { .. }), "round {round}: {error}");
            }
            slowest = slowest.max(lost.elapsed());
        });
    }
    println!("the last thread knew after {slowest:?} at most");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

/// A device that is too slow for the caller's patience; the next call works.
#[test]
#[ignore = "needs an adapter"]
fn a_wait_ends_when_the_caller_says() {
    let shape = Shape { q_len: 2048, kv_len: 2048, head_dim: 128, ..SHAPE };
    let ([q, k, v], spec) = (values(&shape), Spec::new(shape));
    let gpu = stable_gpu();
    let inputs = Inputs::new(&q, &k, &v);
    gpu.run(&spec, &inputs).expect("ten minutes are enough");
    let gpu = gpu.with_timeout(Duration::from_micros(1));
    let (called, took) = timed(|| gpu.run(&spec, &inputs).map(drop));
    // Some drivers are done before anybody waits, since a submission takes as long as its work.
    match called {
        Ok(()) => println!("left out: this driver was done before it was waited for, {took:?}"),
        error => assert_eq!(error, Err(Error::Timeout { seconds: 1e-6 }), "after {took:?}"),
    }
    run(&gpu.with_timeout(Duration::from_secs(60))).expect("the device is still there");
}

#[test]
#[ignore = "needs an adapter"]
fn buffers_that_cannot_be_used_are_refused() {
    let gpu = stable_gpu();
    let plan = gpu.attention().plan(Spec::new(SHAPE)).expect("a legal spec");
    let made = |()| buffer(&gpu, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let [q, k, v, out] = [(); 4].map(made);
    let bind = || plan.bind(&Bindings::new().q(q.slice(..)).k(k.slice(..)).v(v.slice(..)).out(out.slice(..))).map(drop);
    assert_eq!(bind(), Ok(()));
    k.destroy();
    for refused in [bind(), gpu.read::<u32>(&k).map(drop)] {
        assert!(matches!(&refused, Err(Error::Device { because, .. }) if because.contains("destroyed")), "{refused:?}");
    }
    let mapped = buffer(&gpu, wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::MAP_WRITE);
    mapped.map_async(wgpu::MapMode::Write, .., drop);
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("waiting");
    let refused = gpu.read::<u32>(&mapped);
    assert!(matches!(&refused, Err(Error::Device { because, .. }) if because.contains("mapped")), "{refused:?}");
    assert!(!gpu.is_lost());
    run(&gpu).expect("the device is unharmed");
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Handlers of a caller hear of the caller's own errors, of the loss of the device, and of nothing that this crate met.
#[test]
#[ignore = "needs an adapter"]
fn a_callers_device_keeps_its_handlers() {
    let gpu = lesser_gpu(wgpu::Features::empty(), wgpu::Limits::default());
    let device = gpu.device().clone();
    let (errors, losses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let heard = || (errors.load(Ordering::Relaxed), losses.load(Ordering::Relaxed));
    let counter = errors.clone();
    device.on_uncaptured_error(Arc::new(move |_| count(&counter)));
    let counter = losses.clone();
    device.set_device_lost_callback(move |_, _| count(&counter));
    let attention = Attention::new(&device);
    run(&gpu).expect("it runs");
    let destroyed = buffer(&gpu, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    destroyed.destroy();
    let plan = attention.plan(Spec::new(SHAPE)).expect("a legal spec");
    let all = Bindings::new().q(destroyed.slice(..)).k(destroyed.slice(..));
    plan.bind(&all.v(destroyed.slice(..)).out(destroyed.slice(..))).expect_err("it is destroyed");
    gpu.read::<u32>(&destroyed).expect_err("it is destroyed");
    assert_eq!(heard(), (0, 0));
    // A buffer that is larger than any may be: the caller's own mistake.
    let size = device.limits().max_buffer_size + 4;
    let usage = wgpu::BufferUsages::STORAGE;
    drop(device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false }));
    assert_eq!(heard(), (1, 0));
    device.destroy();
    run(&gpu).expect_err("it is lost");
    device.poll(wgpu::PollType::Poll).ok();
    assert_eq!(heard(), (1, 1));
}
