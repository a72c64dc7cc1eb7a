//! Runs acceptance cases and writes what they compute, for another program to compare.
//!
//! `cargo run --release --example conformance -- CASE... --out DIR` writes `DIR/<name>.safetensors` for every case.
//! `--limits webgpu` and `--limits small` do so on a device that may do less.

#[path = "support/case.rs"]
mod case;
#[path = "support/limits.rs"]
mod limits;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use indicatif::ProgressBar;
use wgpu_attention::Gpu;

use crate::{
    case::{Case, Result},
    limits::Limits,
};

/// Runs acceptance cases; writes the outputs of each to DIR/<name>.safetensors.
#[derive(Parser)]
struct Arguments {
    /// Case files, in the format that tests/cases/README.md describes.
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// Where the outputs go; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the device may do.
    #[arg(long, value_enum, default_value_t = Limits::Adapter)]
    limits: Limits,
}

fn main() -> ExitCode {
    let Arguments { cases, out, limits } = Arguments::parse();
    match run_all(&cases, &out, limits) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// How many cases were refused.
fn run_all(cases: &[PathBuf], out: &Path, limits: Limits) -> Result<usize> {
    fs::create_dir_all(out).map_err(|error| format!("{} cannot be made: {error}", out.display()))?;
    let gpu = limits.gpu()?;
    let bar = ProgressBar::new(cases.len() as u64);
    let (mut written, mut refused) = (BTreeSet::new(), 0);
    for path in cases {
        let line = match run(&gpu, path, out, &mut written) {
            Ok(()) => "ok".into(),
            Err(error) => {
                refused += 1;
                format!("refused: {error}")
            }
        };
        bar.suspend(|| println!("{} {line}", path.display()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{} cases: {} ok, {refused} refused", cases.len(), cases.len() - refused);
    Ok(refused)
}

fn run(gpu: &Gpu, path: &Path, out: &Path, written: &mut BTreeSet<PathBuf>) -> Result<()> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or("not the path of a file, or not in Unicode")?;
    let target = out.join(format!("{stem}.safetensors"));
    if !written.insert(target.clone()) {
        return Err("another case of this name went before".into());
    }
    if fs::canonicalize(&target).is_ok_and(|target| fs::canonicalize(path).is_ok_and(|path| path == target)) {
        return Err("its outputs would replace it: choose another --out".into());
    }
    // What an earlier run left must not pass for the outputs of a case that is refused.
    if target.exists() {
        fs::remove_file(&target).map_err(|error| format!("{} cannot be replaced: {error}", target.display()))?;
    }
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let case = Case::parse(&bytes)?;
    if stem != case.name {
        return Err(format!("the case is named {:?}, unlike its file", case.name).into());
    }
    let outputs = case::to_bytes(&case.run(gpu)?)?;
    Ok(fs::write(&target, outputs).map_err(|error| format!("{} cannot be written: {error}", target.display()))?)
}
