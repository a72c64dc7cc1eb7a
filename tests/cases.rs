//! The acceptance cases in `tests/cases`: each is run and compared; bad files, and what is not built yet, are refused.

#[path = "../examples/support/case.rs"]
mod case;
#[path = "cases/check.rs"]
mod check;
#[path = "cases/checker.rs"]
mod checker;
#[path = "cases/refusals.rs"]
mod refusals;
#[path = "cases/sample.rs"]
mod sample;

use std::{fs, path::PathBuf};

use wgpu_attention::Gpu;

use crate::case::{Case, Result};

#[test]
#[ignore = "needs an adapter"]
fn every_case_matches() {
    run(|case| !case.slow);
}

#[test]
#[ignore = "needs an adapter"]
fn every_long_case_matches() {
    run(|case| case.slow);
}

/// Runs the cases that are wanted; all that fail are told at once.
fn run(wanted: impl Fn(&Case<'_>) -> bool) {
    let gpu = Gpu::new().unwrap_or_else(|error| panic!("{error}"));
    let (mut ran, mut failures) = (0, Vec::new());
    for path in files() {
        let outcome = judge(&gpu, &path, &wanted).unwrap_or_else(|error| Some(vec![error.to_string()]));
        ran += usize::from(outcome.is_some());
        failures.extend(outcome.unwrap_or_default().iter().map(|failure| format!("{}: {failure}", path.display())));
    }
    println!("{ran} cases ran on {}", gpu.device().adapter_info().name);
    assert!(failures.is_empty(), "{} outputs or cases failed\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 0, "no case was wanted");
}

/// What is wrong with a case; `None` if it is not wanted.
fn judge(gpu: &Gpu, path: &PathBuf, wanted: impl Fn(&Case<'_>) -> bool) -> Result<Option<Vec<String>>> {
    let bytes = fs::read(path)?;
    let case = Case::parse(&bytes)?;
    if path.file_stem().is_none_or(|stem| *stem != *case.name) {
        return Err(format!("the case is named {:?}", case.name).into());
    }
    if !wanted(&case) {
        return Ok(None);
    }
    let outputs = case::to_bytes(&case.run(gpu)?)?;
    Ok(Some(check::failures(&case, &bytes, &outputs)))
}

fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    assert!(!files.is_empty(), "no case in {folder}");
    files
}
