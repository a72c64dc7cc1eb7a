//! The acceptance cases in `tests/cases`: each is run and compared; bad files, and what is not built yet, are refused.

#[path = "../../examples/support/case.rs"]
mod case;
mod check;
mod checker;
mod features;
mod refusals;
mod sample;

#[path = "../../examples/support/limits.rs"]
mod limits;

use std::{fs, path::PathBuf};

use wgpu_attention::Gpu;

use crate::cases::{
    case::{Case, Result},
    features::FEATURES,
    limits::Limits,
};

#[test]
#[ignore = "needs an adapter"]
fn every_case_matches() {
    run(Limits::Adapter, |case| !case.slow);
}

#[test]
#[ignore = "needs an adapter"]
fn every_long_case_matches() {
    run(Limits::Adapter, |case| case.slow);
}

#[test]
#[ignore = "needs an adapter"]
fn every_case_matches_within_the_limits_of_webgpu() {
    run(Limits::WebGpu, |_| true);
}

#[test]
#[ignore = "needs an adapter"]
fn every_case_matches_where_bindings_are_short() {
    run(Limits::Small, |_| true);
}

/// tests/run.sh runs this one on OpenGL too.
#[test]
#[ignore = "needs an adapter"]
fn one_case_of_each_feature_matches() {
    assert_eq!(run(Limits::Adapter, |case| FEATURES.contains(&case.name.as_str())), FEATURES.len());
}

/// Runs the cases that are wanted and says how many; all that fail are told at once.
fn run(limits: Limits, wanted: impl Fn(&Case<'_>) -> bool) -> usize {
    let gpu = limits.gpu().unwrap_or_else(|error| panic!("{error}"));
    let (mut ran, mut failures) = (0, Vec::new());
    for path in files() {
        let outcome = judge(&gpu, &path, &wanted).unwrap_or_else(|error| Some(vec![error.to_string()]));
        ran += usize::from(outcome.is_some());
        failures.extend(outcome.unwrap_or_default().iter().map(|failure| format!("{}: {failure}", path.display())));
    }
    let info = gpu.device().adapter_info();
    println!("{ran} cases ran on {} ({:?}), limits: {limits:?}", info.name, info.backend);
    assert!(failures.is_empty(), "{} outputs or cases failed\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 0, "no case was wanted");
    ran
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
    let folder = "cases"; // of the working directory, so that the program runs where the sources are not
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    assert!(!files.is_empty(), "no case in {folder}");
    files
}
