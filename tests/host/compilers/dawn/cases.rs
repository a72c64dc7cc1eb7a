//! What kernels compute under Dawn: the numbers that are expected, as on wgpu.

#[path = "../../../../examples/support/case.rs"]
mod case;
#[path = "../../../device/cases/check.rs"]
mod check;
#[path = "../../../device/cases/features.rs"]
mod features;

use std::{collections::BTreeSet, fs};

use case::Case;
use features::FEATURES;
use wgpu_attention::{kernels::Choice, reference};

use super::{Dawn, program};
use crate::each_kernel;

#[test]
#[ignore = "needs Dawn"]
fn acceptance_cases_match_under_dawn() {
    let Some(mut dawn) = Dawn::start() else { return };
    let mut failures = Vec::new();
    for name in FEATURES {
        let bytes = fs::read(format!("cases/{name}.safetensors")).expect("the case is there");
        let case = Case::parse(&bytes).expect("the case is right");
        let outputs = case.run_by(|problem, inputs| {
            let program = program(&dawn, problem, Choice::Suggested);
            Ok(dawn.run(problem, inputs, &program)?)
        });
        match outputs {
            Ok(outputs) => {
                let outputs = case::to_bytes(&outputs.expect("no layer is among them")).expect("it can be stored");
                failures
                    .extend(check::failures(&case, &bytes, &outputs).into_iter().map(|why| format!("{name}: {why}")));
            }
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    println!("{} acceptance cases under Dawn", FEATURES.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "needs Dawn"]
fn every_kernel_matches_the_oracle_under_dawn() {
    let Some(mut dawn) = Dawn::start() else { return };
    let (mut failures, mut ran) = (Vec::new(), BTreeSet::new());
    for case in each_kernel::cases() {
        for choice in each_kernel::choices(&case.spec, &dawn.caps) {
            let program = program(&dawn, &case.spec, choice);
            ran.extend(program.kernels.iter().map(|kernel| kernel.shader().name()));
            let outputs = dawn.run(&case.spec, &case.inputs(), &program);
            let checked = outputs.and_then(|outputs| {
                reference::check(case.spec.clone(), &case.inputs(), &outputs).map_err(|wrong| wrong.to_string())
            });
            failures.extend(checked.err().map(|why| format!("{choice:?} {:?}: {why}", case.spec)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(ran, each_kernel::names(&dawn.caps).collect(), "kernels that ran");
}
