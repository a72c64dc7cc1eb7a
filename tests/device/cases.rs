//! The acceptance cases in `tests/cases`: each is run and compared; bad files, and what is not built yet, are refused.

#[path = "../../examples/support/case.rs"]
mod case;
mod check;
mod checker;
mod refusals;
mod sample;

#[path = "../../examples/support/limits.rs"]
mod limits;

use std::{fs, path::PathBuf};

use wgpu_attention::Gpu;

use crate::cases::{
    case::{Case, Result},
    limits::Limits,
};

/// A case of each feature, for backends on which compiling takes long.
const FEATURES: [&str; 13] = [
    "fwd_s33_d40",
    "alibi_causal_h8_s65",
    "bias_neginf_softcap_s65",
    "mask_bool_kv_b11k",
    "sinks_gqa8_2_s33_causal",
    "varlen_causal_5seq",
    "decode_padded_kv_poison",
    "fwd_past12_new5_causal",
    "rope_half_s65_d64",
    "fwd_f16_gqa6_2_s65_causal",
    "onnx_attention_4d_causal_bf16",
    "onnx_attention_4d_with_qk_matmul_softmax",
    "onnx_attention_4d_with_qk_matmul_bias",
];

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
