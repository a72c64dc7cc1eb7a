//! `Gpu` without a driver: runs that read back, comparisons, and what may cross threads.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use wgpu_attention::{
    Algorithm, Attention, Bindings, Bound, Error, Gpu, Inputs, Plan, Progress, ScoreStage, Shape, Spec,
};

use super::{Noop, SHAPE, bindings, now, programs::specs};

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
        let lengths = [Some(outputs.out()), outputs.lse(), outputs.weights(), outputs.scores()];
        assert_eq!(lengths.map(|data| data.map(<[_]>::len)), [192, 24, 120, 120].map(Some));
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
    let inputs = Inputs::without_values(&data, &data[..160]);
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
    assert_eq!(differ(&spec.clone().sinks()), "input sinks is missing; it has 4 elements");
    assert_eq!(differ(&Spec::new(Shape { head_dim: 600, ..SHAPE })), "head_dim 600 is above 512");
    let short = Inputs::without_values(&data[1..], &data[..160]);
    let refusal = gpu.compare((&spec, &inputs), (&spec, &short));
    assert_eq!(refusal, Err(Error::Input { name: "q", got: 191, needs: 192 }));
    // Values may be there, of any length; all that is written does not count; other heads share keys.
    let other =
        Spec::new(Shape { kv_heads: 1, value_dim: 512, ..SHAPE }).lse().scores(ScoreStage::Masked).without_out();
    let fewer = Inputs::new(&data, &data[..80], &[]);
    let Poll::Ready(outputs) = spin(gpu.compare_async((&spec, &inputs), (&other, &fewer))) else {
        panic!("it never ends");
    };
    assert_eq!(outputs.expect("the device is there").divergence().map(|rows| rows.len()), Some(2 * 4 * 3 * 2));
    let inputs = Inputs::without_values(&data[..96], &data[..80]);
    assert_eq!(gpu.compare((&one, &inputs), (&one, &inputs)).map(|outputs| outputs.out().len()), Ok(0));
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
