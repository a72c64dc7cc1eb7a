//! Runs a target on random inputs for a while.

use std::{
    fmt::Debug,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::memory;

/// What one input may take.
const LONGEST: Duration = Duration::from_secs(1);

/// One target at a time, so that none is slow because of another.
static TURN: Mutex<()> = Mutex::new(());

/// A variable of the environment, or what it is where it is not set.
fn variable<T: FromStr>(name: &str, default: T) -> T {
    let Ok(value) = std::env::var(name) else { return default };
    value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, not a number"))
}

/// Calls `test` on values of a strategy for a while. Each call ends within a second and holds at most as many bytes as `bytes` says of its
/// input.
pub(crate) fn fuzz<V: Debug + Clone>(
    target: &str,
    inputs: impl Strategy<Value = V>,
    bytes: impl Fn(&V) -> usize,
    test: impl Fn(&V),
) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seed: Vec<u8> = variable("WGPU_ATTENTION_FUZZ_SEED", 0_u64).to_le_bytes().repeat(4);
    let config = Config { cases: 16, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let end = Instant::now() + Duration::from_secs_f64(variable("WGPU_ATTENTION_FUZZ_SECONDS", 0.3));
    let (count, slowest) = (std::cell::Cell::new(0_u64), std::cell::Cell::new((Duration::ZERO, 0)));
    while Instant::now() < end {
        // A runner that has had its cases is done.
        runner = TestRunner::new_with_rng(runner.config().clone(), runner.new_rng());
        let run = runner.run(&inputs, |input| {
            count.set(count.get() + 1);
            memory::INPUT.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&format!("{target}: {input:?}\n"));
            let (mut time, most) = timed(&input, &test);
            if time > LONGEST {
                time = time.min(timed(&input, &test).0); // the system may have been busy with something of its own
            }
            slowest.set((slowest.get().0.max(time), slowest.get().1.max(most)));
            assert!(time <= LONGEST, "it takes {time:?}");
            assert!(most <= bytes(&input), "it holds {most} bytes, where {} will do", bytes(&input));
            Ok(())
        });
        if let Err(failure) = run {
            panic!("{target}: {failure}");
        }
    }
    let (time, most) = slowest.get();
    println!("{target}: {} inputs, the slowest {time:?}, the largest {most} bytes", count.get());
}

fn timed<V>(input: &V, test: &impl Fn(&V)) -> (Duration, usize) {
    let (start, worked) = (Instant::now(), worked());
    let ((), most) = memory::most_during(|| test(input));
    let time = worked.and_then(|before| self::worked()?.checked_sub(before));
    (time.unwrap_or(start.elapsed()), most)
}

/// How long this thread has had a processor, which other programs do not lengthen; `None` where the system does not say.
fn worked() -> Option<Duration> {
    let all = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    all.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
