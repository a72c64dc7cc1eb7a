//! Times attention, and the layers beside it, on this device, in figures that say how much is left: GFLOP/s and GB/s beside the
//! rates of the device.
//!
//! `cargo run --release --example bench`. Every row is checked first, sampled rows against the f64 oracle, and timed
//! second; a row that fails the check is not timed, and the exit status is then not 0. See benches/README.md for what
//! each number is.

#[path = "support/bench/check.rs"]
mod check;
#[path = "support/bench/device.rs"]
mod device;
#[path = "support/bench/probes.rs"]
mod probes;
#[path = "support/bench/problem.rs"]
mod problem;
#[path = "support/bench/report.rs"]
mod report;
#[path = "support/bench/timing.rs"]
mod timing;
#[path = "support/bench/workload.rs"]
mod workload;

use std::{error::Error as StdError, io, num::ParseFloatError, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use wgpu_attention::{Algorithm, Autotune, DType, DeviceKind, Error, Gpu, Problem};

use crate::{
    check::{Errors, check},
    problem::Held,
    report::{Limits, Report, Row},
    workload::{ALL, Workload},
};

/// Times attention on this device. Checks every result against the f64 oracle first.
#[derive(Parser)]
struct Arguments {
    /// Shapes, as in P1,P4. Those that suit the device unless given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Workload::named)]
    shapes: Vec<&'static str>,
    /// The shapes in this element type of q, k, v and out: f32 or f16. Each in its own unless given.
    #[arg(long, value_parser = dtype)]
    dtype: Option<DType>,
    /// One kernel of attention only. All that can run the shape unless given, with a * at the one that Autotune chose.
    #[arg(long)]
    kernel: Option<Algorithm>,
    /// Also writes each row to this file, one JSON object a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "once"])]
    json: Option<PathBuf>,
    /// Checks only, each shape once.
    #[arg(long, conflicts_with = "no_check")]
    check: bool,
    /// Times only.
    #[arg(long)]
    no_check: bool,
    /// Runs the kernel once on one shape, P1 unless given, and exits: for drivers that only compile. Makes no other
    /// pipeline, and looks at no result unless --check.
    #[arg(long, requires = "kernel")]
    once: bool,
    /// Seconds to time each row for.
    #[arg(long, default_value = "2", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// Takes compiled pipelines from this file, and leaves them there.
    #[arg(long, value_name = "FILE")]
    pipelines: Option<PathBuf>,
    /// Seed of the random inputs and of the rows checked.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error: ParseFloatError| error.to_string())?;
    let day = 86400.0;
    if (0.0..=day).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("not in 0 to {day}"))
    }
}

fn dtype(text: &str) -> Result<DType, String> {
    let types = [DType::F32, DType::F16];
    types.into_iter().find(|dtype| dtype.to_string() == text).ok_or_else(|| "not f32 or f16".into())
}

impl Arguments {
    /// The device, with what is experimental: a kernel is not used unless it is named or faster.
    fn gpu(&self) -> Result<Gpu, Error> {
        let gpu = Gpu::experimental()?;
        Ok(match &self.pipelines {
            Some(file) => gpu.with_pipelines(file),
            None => gpu,
        })
    }

    fn workloads(&self, gpu: &Gpu) -> Vec<Workload> {
        let large = gpu.attention().caps().kind == DeviceKind::Discrete;
        let asked = |workload: &Workload| match &self.shapes[..] {
            [] => large || !workload.is_large(),
            names => names.contains(&workload.name),
        };
        // A kernel that is named computes attention: layers have no choice of kernels.
        let fits = |workload: &Workload| self.kernel.is_none() || workload.is_attention();
        let mut workloads: Vec<_> = ALL.into_iter().filter(asked).filter(fits).collect();
        if let Some(dtype) = self.dtype {
            workloads.iter_mut().for_each(|workload| workload.dtype = dtype);
            workloads.dedup_by_key(|workload| workload.name);
        }
        workloads
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.once { once(&arguments) } else { bench(&arguments) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One kernel, one shape, one run.
fn once(arguments: &Arguments) -> Result<bool, Box<dyn StdError>> {
    let gpu = arguments.gpu()?;
    let workload = match arguments.workloads(&gpu)[..] {
        [workload] => workload,
        [first, ..] if arguments.shapes.is_empty() => first,
        _ => return Err("--once runs one shape: give one to --shapes, and --dtype where it has two".into()),
    };
    let algorithm = arguments.kernel.ok_or("--once needs --kernel")?;
    let held = Held::new(&gpu, workload, arguments.seed)?;
    held.poison(&gpu)?;
    timing::first(&gpu, &held, Some(algorithm))?;
    if arguments.check {
        check(&held, &held.out(&gpu)?, arguments.seed)?;
    }
    Ok(true)
}

/// All shapes and kernels asked for. Whether none failed, and some ran.
fn bench(arguments: &Arguments) -> Result<bool, Box<dyn StdError>> {
    let gpu = arguments.gpu()?;
    let workloads = arguments.workloads(&gpu);
    let rows = workloads.iter().map(|workload| algorithms(workload, arguments).len()).sum();
    let mut report = Report::new(&gpu, rows, arguments.json.as_deref())?;
    let limits = if arguments.check { Limits::default() } else { probe(&gpu, &report)? };
    let mut tally = Tally::default();
    for workload in workloads {
        let held = Held::new(&gpu, workload, arguments.seed);
        let chosen = match arguments.kernel.is_none() && !arguments.check {
            true => tune(&gpu, &workload, &report),
            false => Ok(None),
        };
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(error) => {
                tally.count(Outcome::of(&error), &format!("{:<5} Autotune", workload.name), &report)?;
                None
            }
        };
        for algorithm in algorithms(&workload, arguments) {
            let outcome = match &held {
                Ok(held) => {
                    let is_chosen = algorithm.is_some() && chosen == algorithm;
                    measure(&gpu, held, (algorithm, is_chosen), (arguments, limits), &mut report)?
                }
                Err(error) => Outcome::of(error),
            };
            // That a kernel cannot run every shape is no news, unless it was asked for.
            if matches!(outcome, Outcome::Skipped(_)) && arguments.kernel.is_none() && held.is_ok() {
                report.advance();
                continue;
            }
            let kernel = algorithm.map_or("", |algorithm| algorithm.name());
            tally.count(outcome, format!("{:<5} {kernel}", workload.name).trim_end(), &report)?;
            report.advance();
        }
    }
    report.finish();
    if let Some(file) = &arguments.pipelines {
        let kept =
            if gpu.save_pipelines(file)? { "are kept in" } else { "cannot be kept on this device, nothing is in" };
        report.print(&format!("compiled pipelines {kept} {}", file.display()))?;
    }
    let Tally { done, skipped, failed } = tally;
    report.print(&format!("\n{done} rows done, {skipped} skipped, {failed} failed"))?;
    Ok(failed == 0 && done > 0)
}

/// The kernels to time a workload with; one row and no choice for a layer.
fn algorithms(workload: &Workload, arguments: &Arguments) -> Vec<Option<Algorithm>> {
    match (workload.is_attention(), arguments.kernel) {
        (false, _) => vec![None],
        (true, Some(kernel)) => vec![Some(kernel)],
        (true, None) => Algorithm::ALL.map(Some).into(),
    }
}

/// What Autotune takes for a shape; `None` where there is no choice, or nothing can run it.
fn tune(gpu: &Gpu, workload: &Workload, report: &Report) -> Result<Option<Algorithm>, Error> {
    let Problem::Attention(spec) = workload.problem() else { return Ok(None) };
    report.doing(format!("{}: choosing a kernel", workload.name));
    match Autotune::default().tune(gpu.attention(), gpu.queue(), &spec) {
        Ok(algorithm) => Ok(Some(algorithm)),
        Err(error) => match Outcome::of(&error) {
            Outcome::Skipped(_) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Measures what the device can do at most. A probe that fails says so, and has no figure.
fn probe(gpu: &Gpu, report: &Report) -> Result<Limits, Box<dyn StdError>> {
    report.doing("measuring the device".into());
    let (fma, copy, matrix) = (probes::fma_gflops(gpu), probes::copy_gbps(gpu), probes::matrix_gflops(gpu));
    let failed = [fma.as_ref().err(), copy.as_ref().err(), matrix.as_ref().err()];
    for error in failed.into_iter().flatten() {
        report.print(&format!("a probe failed: {error}"))?;
    }
    let limits = Limits { fma_gflops: fma.ok(), copy_gbps: copy.ok(), matrix_gflops: matrix.ok().flatten() };
    report.head(&limits)?;
    Ok(limits)
}

enum Outcome {
    Done,
    /// This kernel cannot run this shape here.
    Skipped(String),
    Failed(String),
}

impl Outcome {
    fn of(error: &Error) -> Self {
        use Error::{BindingLimit, Kernel, OutOfMemory, TooLarge};
        match error {
            Kernel { .. } | BindingLimit { .. } | TooLarge { .. } | OutOfMemory { .. } => {
                Self::Skipped(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// How many rows came to what.
#[derive(Default)]
struct Tally {
    done: u32,
    skipped: u32,
    failed: u32,
}

impl Tally {
    fn count(&mut self, outcome: Outcome, name: &str, report: &Report) -> io::Result<()> {
        match outcome {
            Outcome::Done => {
                self.done += 1;
                Ok(())
            }
            Outcome::Skipped(because) => {
                self.skipped += 1;
                report.print(&format!("{name} skipped: {because}"))
            }
            Outcome::Failed(because) => {
                self.failed += 1;
                report.print(&format!("{name} FAILED: {because}"))
            }
        }
    }
}

/// Checks first, times second.
fn measure(
    gpu: &Gpu,
    held: &Held,
    (algorithm, chosen): (Option<Algorithm>, bool),
    (arguments, limits): (&Arguments, Limits),
    report: &mut Report,
) -> Result<Outcome, Box<dyn StdError>> {
    let name = held.workload.name;
    report.doing(format!("{name}: compiling and checking"));
    held.poison(gpu)?;
    let (bound, first_ms) = match timing::first(gpu, held, algorithm) {
        Ok(first) => first,
        Err(error) => return Ok(Outcome::of(&error)),
    };
    let kernel = algorithm.map(|algorithm| algorithm.name()).or_else(|| bound.plan().kernels().last());
    let kernel = kernel.unwrap_or_default();
    let out = held.out(gpu)?;
    let errors = match (!arguments.no_check).then(|| check(held, &out, arguments.seed)).transpose() {
        Ok(errors) => errors,
        Err(because) => return Ok(Outcome::Failed(because)),
    };
    if arguments.check {
        report.print(&checked(&format!("{name} {kernel}"), errors))?;
        return Ok(Outcome::Done);
    }
    report.doing(format!("{name} {kernel}: timing"));
    held.poison(gpu)?;
    let times = timing::time(gpu, &bound, arguments.seconds)?;
    // Times of runs that did nothing would be splendid.
    if errors.is_some() && held.out(gpu)? != out {
        return Ok(Outcome::Failed("the timed runs computed something else than the first run".into()));
    }
    report.row(&Row { held, bound: &bound, kernel, chosen, times, first_ms, errors, limits })?;
    Ok(Outcome::Done)
}

fn checked(name: &str, errors: Option<Errors>) -> String {
    let errors =
        errors.map(|Errors { rel_err, max_abs }| format!("relative error {rel_err:.1e}, largest {max_abs:.1e}"));
    format!("{name}: {}", errors.unwrap_or_default())
}
