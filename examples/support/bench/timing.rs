//! How long a bound plan takes: wall time, device time, and the first time.

use std::time::{Duration, Instant};

use wgpu_attention::{Algorithm, Bound, Error, Gpu, Problem, wgpu};

use crate::{
    device::{buffer_for, caught, encoder, read, submit},
    problem::{Held, workspace},
};

/// Fewest runs of a kind, however slow.
const LEAST: usize = 3;
/// Most runs of a kind, however fast.
const MOST: usize = 2000;

/// Times of one run, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Wall time of encode, submit and wait.
    pub(crate) median_ms: f64,
    /// Its minimum.
    pub(crate) min_ms: f64,
    /// Median time between the timestamps at the begin and at the end of the pass; `None` where the device has none.
    pub(crate) device_ms: Option<f64>,
}

/// Encodes, submits and waits for one run.
pub(crate) fn run(gpu: &Gpu, bound: &Bound) -> Result<(), Error> {
    let mut encoder = encoder(gpu);
    bound.encode(&mut encoder);
    submit(gpu, encoder)
}

/// Plans, binds and runs a problem with nothing compiled before, in milliseconds. Making the workspace is not counted.
///
/// Drivers keep compiled shaders of their own, in memory and on disk; what they keep is not compiled again.
pub(crate) fn first(gpu: &Gpu, held: &Held, algorithm: Option<Algorithm>) -> Result<(Bound, f64), Error> {
    let attention = gpu.attention();
    let start = Instant::now();
    // The same device, nothing compiled.
    let fresh = attention.limited(attention.caps().clone());
    let plan = match (algorithm, &held.problem) {
        (Some(algorithm), Problem::Attention(spec)) => fresh.plan_with(algorithm, spec)?,
        (_, problem) => fresh.plan(problem)?,
    };
    let planned = start.elapsed();
    let workspace = workspace(gpu, &plan)?;
    let start = Instant::now();
    let bound = held.bind(&plan, workspace.as_ref())?;
    caught(gpu, "a run", || run(gpu, &bound))??;
    Ok((bound, millis(planned + start.elapsed())))
}

/// Times a bound plan that has run before, for about so long: a twentieth warms up, and a quarter takes timestamps.
pub(crate) fn time(gpu: &Gpu, bound: &Bound, budget: Duration) -> Result<Times, Error> {
    caught(gpu, "a timed run", || {
        repeat(budget / 20, 1, || run(gpu, bound).map(|()| 0.0))?;
        let stamps = Stamps::new(gpu)?;
        let wall = repeat(budget * 7 / 10, LEAST, || {
            let start = Instant::now();
            run(gpu, bound).map(|()| millis(start.elapsed()))
        })?;
        let device = stamps.map(|stamps| repeat(budget / 4, LEAST, || stamps.run(gpu, bound))).transpose()?;
        let device_ms = device.map(|times| median(&times)).filter(|&ms| ms > 0.0);
        Ok(Times { median_ms: median(&wall), min_ms: wall[0], device_ms })
    })?
}

/// Calls `run` for about so long and so often at least; what it returned, in order of size.
fn repeat(budget: Duration, least: usize, mut run: impl FnMut() -> Result<f64, Error>) -> Result<Vec<f64>, Error> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < least || times.len() < MOST && start.elapsed() < budget {
        times.push(run()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The middle of sorted numbers, the mean of two where there are two.
fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Timestamps at both ends of a pass.
struct Stamps {
    set: wgpu::QuerySet,
    ticks: wgpu::Buffer,
}

impl Stamps {
    /// `None` where the device has no timestamps.
    fn new(gpu: &Gpu) -> Result<Option<Self>, Error> {
        if !gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let descriptor = wgpu::QuerySetDescriptor { label: Some("pass"), ty: wgpu::QueryType::Timestamp, count: 2 };
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let ticks = buffer_for(gpu, "timestamps", 16, usage)?;
        Ok(Some(Self { set: caught(gpu, "timestamps", || gpu.device().create_query_set(&descriptor))?, ticks }))
    }

    /// Runs once; milliseconds on the device. 0 where the timestamps say nothing.
    fn run(&self, gpu: &Gpu, bound: &Bound) -> Result<f64, Error> {
        let writes = wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        };
        let mut encoder = encoder(gpu);
        let descriptor = wgpu::ComputePassDescriptor { label: Some("timed"), timestamp_writes: Some(writes) };
        bound.record(&mut encoder.begin_compute_pass(&descriptor));
        encoder.resolve_query_set(&self.set, 0..2, &self.ticks, 0);
        submit(gpu, encoder)?;
        let ticks: Vec<u64> = read(gpu, &self.ticks, 0, self.ticks.size())?;
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(gpu.queue().get_timestamp_period()) / 1e6)
    }
}
