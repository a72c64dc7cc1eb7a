//! benches/gpu_day.sh with programs that stand in for the real ones: one that fails, one that hangs and one that crashes keep
//! their messages on the page, and the others report.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A box of such programs in a folder of its own.
fn packed(name: &str, programs: &[(&str, &str)]) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu_day").join(name);
    drop(fs::remove_dir_all(&home)); // of an earlier run
    for folder in ["bin", "tests"] {
        fs::create_dir_all(home.join(folder)).expect("a folder");
    }
    fs::copy("../benches/gpu_day.sh", home.join("gpu_day.sh")).expect("the script");
    for (program, text) in programs {
        let file = home.join("bin").join(program);
        fs::write(&file, format!("#!/usr/bin/env bash\n{text}\n")).expect("a program");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("made to run");
    }
    home
}

fn run(home: &Path, seconds: &str) -> (Output, String) {
    let out = home.join("out");
    let output = Command::new("bash")
        .arg(home.join("gpu_day.sh"))
        .args(["--seconds", seconds, "--out"])
        .arg(&out)
        .current_dir("/")
        .output()
        .expect("there is bash");
    let page = fs::read_to_string(out.join("README.md")).unwrap_or_default();
    (output, page)
}

/// Lists its tests, as the harness does; or runs the one that is named first.
fn tests(cases: &[(&str, &str)]) -> String {
    let list: String = cases.iter().map(|(name, _)| format!("{name}: test\\n")).collect();
    let arms: String = cases.iter().map(|(name, does)| format!("{name}) {does} ;;\n")).collect();
    format!("if [ \"$1\" = --list ]; then printf '{list}'; exit; fi\ncase $1 in\n{arms}esac")
}

const ADAPTER: &str = "printf 'Vulkan\\tCpu\\tpaper\\t1.0\\ntaken\\tVulkan\\tCpu\\tpaper\\t1.0\\n'";
/// Leaves a row, and crashes then where it is asked for P1 in f16.
const BENCH: &str = "case \"$*\" in *P1*f16) crash=1 ;; esac\n\
    while [ $# -gt 1 ]; do [ \"$1\" = --json ] && echo '{\"shape\":\"P1\"}' >\"$2\"; shift; done\n\
    echo 'limits  some'; echo 'shape rows'; echo 'P1    f32   row 1.0'\n\
    if [ -n \"$crash\" ]; then kill -SEGV $$; fi";

#[test]
fn what_fails_is_told_and_takes_nothing_along() {
    let device = tests(&[
        ("cases::hangs", "echo about to hang; sleep 600"),
        ("cases::passes", "true"),
        ("oracle::right", "echo fine"),
        ("oracle::fails", "echo element 7 is 3; exit 101"),
        ("layers::right", "true"),
        ("nn::crashes", "kill -SEGV $$"),
        ("mutants::wrong_tiles_are_caught", "true"),
    ]);
    let others = [("adapters", ADAPTER), ("bench", BENCH), ("host", "echo 'bind time: 2 us'")];
    let home = packed("faults", &[&others[..], &[("device", &device)]].concat());
    let (output, page) = run(&home, "120");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for wanted in [
        "# GPU day: Vulkan Cpu paper 1.0",
        "| cases | cut off after ",
        "UNFINISHED cases.hangs",
        "| P_f16 | FAILED (139) |",
        "about to hang",
        "| oracle | FAILED (1) |",
        "FAILED oracle.fails, exit status 101",
        "element 7 is 3",
        "| crate | FAILED (1) |",
        "FAILED nn.crashes, exit status 139",
        "| G1_f16 | left out: only a discrete GPU",
        "| kernels | passed |",
        "| mutants | passed |",
        "| host | passed |",
        "bind time: 2 us",
        "P1    f32   row 1.0",
    ] {
        assert!(page.contains(wanted), "no {wanted:?} on the page\n{page}\n{printed}");
    }
    assert!(!page.contains("    fine"), "what passed is not among the failures\n{page}");
    let rows = fs::read_to_string(home.join("out/bench.jsonl")).expect("rows");
    assert_eq!(rows.lines().count(), 4, "P and the layers, in f32 and f16, that of the crash too");
    assert!(fs::read_to_string(home.join("out/log.txt")).expect("a log").contains("    fine"));
}

#[test]
fn all_well_is_said_by_the_exit_status() {
    let names = ["cases::one", "oracle::one", "layers::one", "gpu::one", "mutants::wrong_tiles"];
    let device = tests(&names.map(|name| (name, "true")));
    let others = [("adapters", ADAPTER), ("bench", "true"), ("host", "true")];
    let home = packed("passing", &[&others[..], &[("device", &device)]].concat());
    let (output, page) = run(&home, "60");
    assert!(output.status.success(), "{page}");
    assert!(!page.contains("## Failures") && page.contains("5 passed, 0 failed, 0 unfinished"), "{page}");
}

#[test]
fn wrong_arguments_are_refused() {
    let home = packed("arguments", &[("adapters", ADAPTER)]);
    let (output, _) = run(&home, "soon");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--seconds soon is not a number"), "{said}");
    fs::remove_file(home.join("bin/adapters")).expect("it was there");
    let (output, _) = run(&home, "10");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("there are no programs"), "{said}");
}
