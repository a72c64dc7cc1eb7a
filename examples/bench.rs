//! Times attention on this device, in figures that say how much is left: GFLOP/s beside the multiply-add rate of the
//! device.
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
use wgpu_attention::{Algorithm, Error, Gpu};

use crate::{
    check::{Errors, check},
    problem::Problem,
    report::{Limits, Report, Row},
    workload::{ALL, Workload},
};

/// Times attention on this device. Checks every result against the f64 oracle first.
#[derive(Parser)]
struct Arguments {
    /// Shapes, as in P1,P4. All of them unless given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Workload::named)]
    shapes: Vec<Workload>,
    /// One kernel only. All that can run the shape unless given.
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
    let workload = match arguments.shapes[..] {
        [] => ALL[0],
        [workload] => workload,
        _ => return Err("--once runs one shape: give one to --shapes".into()),
    };
    let algorithm = arguments.kernel.ok_or("--once needs --kernel")?;
    let gpu = Gpu::new()?;
    let problem = Problem::new(&gpu, workload, arguments.seed)?;
    problem.poison(&gpu)?;
    timing::first(&gpu, &problem, algorithm)?;
    if arguments.check {
        check(&problem, &problem.out(&gpu)?, arguments.seed)?;
    }
    Ok(true)
}

/// All shapes and kernels asked for. Whether none failed, and some ran.
fn bench(arguments: &Arguments) -> Result<bool, Box<dyn StdError>> {
    let workloads = if arguments.shapes.is_empty() { ALL.to_vec() } else { arguments.shapes.clone() };
    let algorithms = arguments.kernel.map_or(Algorithm::ALL.to_vec(), |kernel| vec![kernel]);
    let gpu = Gpu::new()?;
    let mut report = Report::new(&gpu, workloads.len() * algorithms.len(), arguments.json.as_deref())?;
    let limits = if arguments.check { Limits::default() } else { probe(&gpu, &report)? };
    let mut tally = Tally::default();
    for workload in workloads {
        let problem = Problem::new(&gpu, workload, arguments.seed);
        for &algorithm in &algorithms {
            let outcome = match &problem {
                Ok(problem) => measure(&gpu, problem, algorithm, (arguments, limits), &mut report)?,
                Err(error) => Outcome::of(error),
            };
            tally.count(outcome, &format!("{:<5} {algorithm}", workload.name), &report)?;
        }
    }
    report.finish();
    let Tally { done, skipped, failed } = tally;
    report.print(&format!("\n{done} rows done, {skipped} skipped, {failed} failed"))?;
    Ok(failed == 0 && done > 0)
}

/// Measures what the device can do at most. A probe that fails says so, and has no figure.
fn probe(gpu: &Gpu, report: &Report) -> Result<Limits, Box<dyn StdError>> {
    report.doing("measuring the device".into());
    let (fma, copy) = (probes::fma_gflops(gpu), probes::copy_gbps(gpu));
    for error in [&fma, &copy].into_iter().filter_map(|rate| rate.as_ref().err()) {
        report.print(&format!("a probe failed: {error}"))?;
    }
    let limits = Limits { fma_gflops: fma.ok(), copy_gbps: copy.ok() };
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
        report.advance();
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
    problem: &Problem,
    algorithm: Algorithm,
    (arguments, limits): (&Arguments, Limits),
    report: &mut Report,
) -> Result<Outcome, Box<dyn StdError>> {
    let name = format!("{} {algorithm}", problem.workload.name);
    report.doing(format!("{name}: compiling and checking"));
    problem.poison(gpu)?;
    let (bound, first_ms) = match timing::first(gpu, problem, algorithm) {
        Ok(first) => first,
        Err(error) => return Ok(Outcome::of(&error)),
    };
    let out = problem.out(gpu)?;
    let errors = match (!arguments.no_check).then(|| check(problem, &out, arguments.seed)).transpose() {
        Ok(errors) => errors,
        Err(because) => return Ok(Outcome::Failed(because)),
    };
    if arguments.check {
        report.print(&checked(&name, errors))?;
        return Ok(Outcome::Done);
    }
    report.doing(format!("{name}: timing"));
    problem.poison(gpu)?;
    let times = timing::time(gpu, &bound, arguments.seconds)?;
    // Times of runs that did nothing would be splendid.
    if errors.is_some() && problem.out(gpu)? != out {
        return Ok(Outcome::Failed("the timed runs computed something else than the first run".into()));
    }
    report.row(&Row { problem, kernel: algorithm.name(), times, first_ms, errors, limits })?;
    Ok(Outcome::Done)
}

fn checked(name: &str, errors: Option<Errors>) -> String {
    let errors =
        errors.map(|Errors { rel_err, max_abs }| format!("relative error {rel_err:.1e}, largest {max_abs:.1e}"));
    format!("{name}: {}", errors.unwrap_or_default())
}
