//! What is printed and written: a table for people, a line of JSON a row for programs.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};
use wgpu_attention::{Bound, Gpu};

use crate::{check::Errors, problem::Held, timing::Times, workload::bytes};

/// What the device can do at most; `None` where a probe failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) fma_gflops: Option<f64>,
    pub(crate) copy_gbps: Option<f64>,
    pub(crate) matrix_gflops: Option<f64>,
}

/// A problem by a kernel, measured.
pub(crate) struct Row<'a> {
    pub(crate) held: &'a Held,
    /// How it ran.
    pub(crate) bound: &'a Bound,
    pub(crate) kernel: &'static str,
    /// Whether `Autotune` chose this kernel.
    pub(crate) chosen: bool,
    pub(crate) times: Times,
    pub(crate) first_ms: f64,
    /// `None` where nothing was checked.
    pub(crate) errors: Option<Errors>,
    pub(crate) limits: Limits,
}

impl Row<'_> {
    /// 10^9 floating-point operations a second, by the best time; `None` where none are counted.
    fn gflops(&self) -> Option<f64> {
        self.held.workload.flops().map(|flops| flops / self.times.min_ms / 1e6)
    }

    /// 10^9 bytes a second, if each tensor were moved once, by the best time.
    fn gbps(&self) -> f64 {
        bytes(&self.held.problem) / self.times.min_ms / 1e6
    }

    fn workspace_bytes(&self) -> u64 {
        self.bound.plan().workspace_bytes()
    }

    fn dtype(&self) -> String {
        self.held.workload.dtype.to_string()
    }

    fn json(&self, adapter: &str) -> serde_json::Value {
        serde_json::json!({
            "shape": self.held.workload.name,
            "dtype": self.dtype(),
            "kernel": self.kernel,
            "median_ms": self.times.median_ms,
            "min_ms": self.times.min_ms,
            "device_ms": self.times.device_ms,
            "first_ms": self.first_ms,
            "gflops": self.gflops(),
            "fma_gflops": self.limits.fma_gflops,
            "matrix_gflops": self.limits.matrix_gflops,
            "gbps": self.gbps(),
            "copy_gbps": self.limits.copy_gbps,
            "workspace_bytes": self.workspace_bytes(),
            "chosen": self.chosen,
            "rel_err": self.errors.map(|errors| errors.rel_err),
            "max_abs": self.errors.map(|errors| errors.max_abs),
            "adapter": adapter,
            "plan": self.bound.plan().explain().to_string(),
        })
    }

    fn line(&self) -> String {
        let Times { min_ms, median_ms, device_ms } = self.times;
        let tenths = |number: Option<f64>| number.map_or("-".into(), |number| format!("{number:.1}"));
        let percent =
            |rate: Option<f64>, most: Option<f64>| tenths(rate.zip(most).map(|(rate, most)| 100.0 * rate / most));
        let kernel = format!("{}{}", self.kernel, if self.chosen { "*" } else { "" });
        line(
            [self.held.workload.name, &self.dtype(), &kernel],
            [
                format!("{min_ms:.3}"),
                format!("{median_ms:.3}"),
                device_ms.map_or("-".into(), |ms| format!("{ms:.3}")),
                format!("{:.0}", self.first_ms),
                tenths(self.gflops()),
                percent(self.gflops(), self.limits.fma_gflops),
                format!("{:.1}", self.gbps()),
                percent(Some(self.gbps()), self.limits.copy_gbps),
                format!("{:.2}", self.workspace_bytes() as f64 / 1e6),
                self.errors.map_or("-".into(), |errors| format!("{:.1e}", errors.rel_err)),
                self.errors.map_or("-".into(), |errors| format!("{:.1e}", errors.max_abs)),
            ],
        )
    }
}

fn line(names: [&str; 3], numbers: [String; 11]) -> String {
    let [shape, dtype, kernel] = names;
    let [min, median, device, first, gflops, percent, gbps, copy, workspace, rel_err, max_abs] = numbers;
    format!(
        "{shape:<5} {dtype:<5} {kernel:<8} {min:>10} {median:>10} {device:>10} {first:>8} {gflops:>8} {percent:>6} \
         {gbps:>7} {copy:>6} {workspace:>8} {rel_err:>8} {max_abs:>8}"
    )
}

/// Where everything goes: standard output, the JSON file, and a progress bar if a person is watching.
pub(crate) struct Report {
    adapter: String,
    bar: ProgressBar,
    json: Option<File>,
}

impl Report {
    /// Names the device. `rows` is how far the progress bar has to go.
    pub(crate) fn new(gpu: &Gpu, rows: usize, json: Option<&Path>) -> io::Result<Self> {
        let named =
            |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let json = json.map(|path| File::create(path).map_err(|error| named(path, error))).transpose()?;
        let bar = if io::stderr().is_terminal() { ProgressBar::new(rows as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}") {
            bar.set_style(style);
        }
        let info = gpu.device().adapter_info();
        let report = Self { adapter: info.name.clone(), bar, json };
        report.print(&format!("adapter {} ({:?})", info.name, info.device_type))?;
        report.print(&format!("backend {}, driver {} {}", info.backend, info.driver, info.driver_info))?;
        Ok(report)
    }

    /// Says what is being done, to a person who watches.
    pub(crate) fn doing(&self, what: String) {
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// A line on standard output.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        self.bar.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    /// The limits of the device, and the head of the table.
    pub(crate) fn head(&self, limits: &Limits) -> io::Result<()> {
        let number = |rate: Option<f64>, unit| rate.map_or("unknown".into(), |rate| format!("{rate:.1} {unit}"));
        let (fma, copy) = (number(limits.fma_gflops, "GFLOP/s"), number(limits.copy_gbps, "GB/s"));
        let matrix = limits.matrix_gflops.map_or(String::new(), |rate| format!(", f16 matrices {rate:.1} GFLOP/s"));
        self.print(&format!("limits  f32 multiply-add {fma}, storage copy {copy}{matrix}\n"))?;
        let numbers = [
            "min ms",
            "median ms",
            "device ms",
            "first ms",
            "GFLOP/s",
            "% fma",
            "GB/s",
            "% copy",
            "work MB",
            "rel err",
            "max abs",
        ];
        self.print(&line(["shape", "dtype", "kernel"], numbers.map(String::from)))
    }

    /// A measured row, printed and written at once, so that a later fault does not take it along.
    pub(crate) fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if let Some(json) = &mut self.json {
            json.write_all(format!("{}\n", row.json(&self.adapter)).as_bytes())?; // whole or not at all
        }
        self.print(&row.line())
    }

    /// A row is through.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// Takes the progress bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
