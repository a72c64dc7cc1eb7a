//! Every text of every kernel through compilers that other people wrote, since naga's own word proves little of what naga writes: Tint,
//! the WGSL compiler of Chromium; Khronos's validator of SPIR-V; and Khronos's compiler of GLSL and HLSL.
//!
//! Each is taken from the path, and left out with a line where it is not there: `bash tests/run.sh driver compilers` brings them.
//!
//! vkd3d's compiler of HLSL was tried: its version 2.1 cannot read from buffers that are also written, and unrolls loops of others for
//! minutes.

mod dawn;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use wgpu_attention::kernels::Needs;

use crate::shaders::{KERNELS, Reflected, lower};

/// A program of this name on the path.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        println!("left out: there is no {name} on the path");
    }
    found
}

/// What a compiler says against a text, which it reads from its standard input.
fn refusal(command: &mut Command, text: &[u8]) -> Option<String> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().expect("it starts");
    // One that stops reading says why below.
    drop(child.stdin.take().expect("it is piped").write_all(text));
    let output = child.wait_with_output().expect("it ends");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).chars().take(600).collect())
}

/// What a compiler says of a text.
enum Verdict {
    Passes,
    Fails(String),
    /// Why it was not asked.
    LeftOut(&'static str),
}

impl From<Option<String>> for Verdict {
    fn from(refusal: Option<String>) -> Self {
        refusal.map_or(Self::Passes, Self::Fails)
    }
}

/// Asks a compiler about kernels and tells what it said of how many. At least a quarter must pass.
fn each<'a>(
    compiler: &str,
    kernels: impl IntoIterator<Item = &'a Reflected>,
    mut ask: impl FnMut(&Reflected) -> Verdict,
) {
    let (mut passed, mut failed, mut left_out) = (0, Vec::new(), BTreeMap::<_, usize>::new());
    for reflected in kernels {
        match ask(reflected) {
            Verdict::Passes => passed += 1,
            Verdict::Fails(why) => failed.push(format!("{:?}: {why}", reflected.kernel)),
            Verdict::LeftOut(why) => *left_out.entry(why).or_default() += 1,
        }
    }
    println!("{compiler}: {passed} texts pass, {} fail; left out: {left_out:?}", failed.len());
    let first = failed.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{compiler} refuses {} texts:\n{first}", failed.len());
    assert!(passed * 4 > left_out.values().sum::<usize>(), "{compiler} saw few texts");
}

/// One in five of the kernels whose texts differ in more than numbers: compiling all takes long. All that differ so with
/// `WGPU_ATTENTION_COMPILERS=different`, which takes minutes, and every text with `all`, which takes half an hour.
fn sample() -> Vec<&'static Reflected> {
    let (asked, mut seen) = (env::var("WGPU_ATTENTION_COMPILERS").unwrap_or_default(), HashSet::new());
    let without_numbers = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let different = KERNELS.iter().filter(|reflected| seen.insert(without_numbers(&reflected.source.wgsl)));
    match asked.as_str() {
        "all" => KERNELS.iter().collect(),
        "different" => different.collect(),
        _ => different.step_by(5).collect(),
    }
}

#[test]
#[ignore = "needs spirv-val"]
fn spirv_val_accepts_what_runs_with_checks() {
    spirv_val(true);
}

#[test]
#[ignore = "needs spirv-val"]
fn spirv_val_accepts_what_runs_without_checks() {
    spirv_val(false);
}

/// Of Debian 12. Later ones also refuse the strides that naga gives to arrays in workgroup memory.
fn spirv_val(checked: bool) {
    let Some(program) = find("spirv-val") else { return };
    let validate = |environment, words: &[u8]| {
        let mut command = Command::new(&program);
        refusal(command.args(["--target-env", environment, "-"]), words)
    };
    let kind = if checked { "spirv-val, with checks" } else { "spirv-val, without checks" };
    each(kind, sample(), |Reflected { kernel, module, info, .. }| {
        let needs = kernel.shader().needs();
        if needs.matrices {
            return Verdict::LeftOut("it does not know cooperative matrices");
        }
        let words = lower::to_spirv(module, info, checked, needs).expect("another test lowers all");
        let environment = if needs.subgroups { "vulkan1.1" } else { "vulkan1.0" };
        validate(environment, bytemuck::cast_slice(&words)).into()
    });
    assert!(validate("vulkan1.0", &[7; 20]).is_some(), "what is no SPIR-V passed");
}

#[test]
#[ignore = "needs glslangValidator"]
fn glslang_accepts_all_glsl() {
    let Some(program) = find("glslangValidator") else { return };
    let compile = |text: &str| refusal(Command::new(&program).args(["--stdin", "-S", "comp"]), text.as_bytes());
    each("glslangValidator, GLSL ES 3.10", sample(), |Reflected { kernel, module, info, .. }| {
        if kernel.shader().needs() != Needs::default() {
            return Verdict::LeftOut("GLSL ES 3.10 has no 16-bit floats, subgroups or matrices");
        }
        compile(&lower::to_glsl(module, info).expect("another test lowers all")).into()
    });
    assert!(compile("#version 310 es\nvoid main() { x = 1; }").is_some(), "an unknown name passed");
}

#[test]
#[ignore = "needs glslangValidator"]
fn glslang_accepts_all_hlsl() {
    let Some(program) = find("glslangValidator") else { return };
    let arguments = ["--stdin", "-D", "-V", "-S", "comp", "-e", "main", "-o", "/dev/null"];
    let compile = |text: &str| refusal(Command::new(&program).args(arguments), text.as_bytes());
    each("glslangValidator, HLSL", sample(), |Reflected { kernel, module, info, .. }| {
        let needs = kernel.shader().needs();
        if needs != Needs::default() {
            return Verdict::LeftOut("it knows HLSL to shader model 5, without 16-bit floats, subgroups or matrices");
        }
        compile(&for_glslang(&lower::to_hlsl(module, info, needs).expect("another test lowers all"))).into()
    });
    assert!(compile("[numthreads(1, 1, 1)] void main() { x = 1; }").is_some(), "an unknown name passed");
}

/// Without the zeros that naga casts to arrays, as in `float4 x[4] = (float4[4])0;`: Microsoft's compilers take them, glslang does not.
fn for_glslang(hlsl: &str) -> String {
    let plain = |line: &str| match line.split_once("] = (") {
        Some((declared, zeros)) if zeros.ends_with("])0;") => format!("{declared}];\n"),
        _ => format!("{line}\n"),
    };
    hlsl.lines().map(plain).collect()
}
