//! Each kernel once, on the device that the environment names and on lesser ones of the same adapter. `bash tests/run.sh drivers` runs
//! the first of these tests again on other drivers and with other sizes of subgroups.

use std::collections::BTreeSet;

use wgpu_attention::{Attention, Gpu, Plan, Problem, kernels::Choice, wgpu};

use crate::support::{Case, Failures, buffers::Buffers, each_kernel, lesser_gpu, run_plan, text};

/// The plan of a case by the algorithm that was chosen, and its buffers after it has run.
fn run(gpu: &Gpu, attention: &Attention, case: &Case<Problem>, choice: Choice) -> Result<(Plan, Buffers), String> {
    let plan = match choice {
        Choice::Asked(algorithm) => attention.plan_with(algorithm, &case.spec),
        _ => attention.plan(&case.spec),
    };
    let plan = plan.map_err(text)?;
    let buffers = run_plan(gpu, &plan, case)?;
    Ok((plan, buffers))
}

/// Runs every case by every algorithm, and `judge`s what came out; each kernel that the device can run must have run.
fn each_kernel(gpu: &Gpu, name: &str, judge: impl Fn(&Case<Problem>, Choice, &Buffers) -> Result<(), String>) {
    let (attention, mut failures, mut ran) = (gpu.attention(), Failures::default(), BTreeSet::new());
    for case in each_kernel::cases() {
        for choice in each_kernel::choices(&case.spec, attention.caps()) {
            let result = run(gpu, attention, &case, choice).and_then(|(plan, buffers)| {
                ran.extend(plan.kernels());
                judge(&case, choice, &buffers)
            });
            failures.add(|| format!("{choice:?} {:?}", case.spec), result);
        }
    }
    println!("{name}: {:?}", attention.caps());
    failures.finish(name);
    assert_eq!(ran, each_kernel::names(attention.caps()).collect(), "kernels that ran");
}

#[test]
#[ignore = "needs an adapter"]
fn every_kernel_matches_the_oracle_on_this_device() {
    let gpu = crate::support::gpu();
    each_kernel(&gpu, "this device", |case, _, buffers| case.compare(&buffers.outputs(&gpu, case)?));
}

#[test]
#[ignore = "needs an adapter"]
fn every_kernel_matches_the_oracle_on_lesser_devices() {
    let (none, f16, subgroups) = (wgpu::Features::empty(), wgpu::Features::SHADER_F16, wgpu::Features::SUBGROUP);
    for (name, features, bytes) in [
        ("16 KiB, no feature", none, 16384),
        ("32 KiB, no feature", none, 32768),
        ("16 KiB, 16-bit floats", f16, 16384),
        ("16 KiB, subgroups", subgroups, 16384),
        ("32 KiB, both", f16 | subgroups, 32768),
    ] {
        let limits = wgpu::Limits { max_compute_workgroup_storage_size: bytes, ..wgpu::Limits::default() };
        let gpu = lesser_gpu(features, limits);
        let caps = gpu.attention().caps();
        assert!(features.contains(f16) || !caps.f16, "{name}");
        assert!(features.contains(subgroups) || caps.subgroups.is_none(), "{name}");
        each_kernel(&gpu, name, |case, _, buffers| case.compare(&buffers.outputs(&gpu, case)?));
    }
}

/// With all checks and without any: the same bytes, beside the outputs too.
#[test]
#[ignore = "needs an adapter"]
fn checked_and_trusted_kernels_write_the_same_bytes() {
    let gpu = crate::support::gpu();
    let adapter = pollster::block_on(Gpu::adapter(wgpu::PowerPreference::HighPerformance)).expect("it was there");
    let checked = Attention::checked(gpu.device()).with_adapter(&adapter);
    assert_eq!(checked.caps(), gpu.attention().caps());
    each_kernel(&gpu, "checked and trusted", |case, choice, buffers| {
        let (_, other) = run(&gpu, &checked, case, choice)?;
        if buffers.bytes(&gpu) == other.bytes(&gpu) { Ok(()) } else { Err("they differ".into()) }
    });
}
