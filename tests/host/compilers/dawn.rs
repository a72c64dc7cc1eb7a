//! Dawn, Chromium's WebGPU, in Node: it compiles WGSL with Tint.

mod cases;

use std::{
    env,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use wgpu_attention::{
    Caps, Inputs, Outputs, Problem, Tensor, View,
    kernels::{Choice, Needs},
    program::{Program, Step},
    shader::Source,
};

use super::{Verdict, each, find, sample};
use crate::{
    shaders::Reflected,
    stored::{elements, number, stored},
};

/// A Node with Dawn. It answers each line with one, as dawn.mjs says.
struct Dawn {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    caps: Caps,
}

impl Dawn {
    /// `None`, after saying why, where there is none or it finds no adapter.
    fn start() -> Option<Self> {
        let node = find("node")?;
        let Some(package) = env::var_os("WGPU_ATTENTION_DAWN") else {
            println!("left out: WGPU_ATTENTION_DAWN does not name the file index.js of the npm package webgpu");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/host/compilers/dawn.mjs");
        let mut command = Command::new(node);
        let piped = command.arg(script).arg(package).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().expect("node starts");
        let questions = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut dawn = Self { child, questions, answers, caps: Caps::webgpu() };
        let device = dawn.answer();
        if let Some(why) = device["error"].as_str() {
            println!("left out: {why}");
            return None;
        }
        println!("Dawn: {device}");
        let features: Vec<String> = serde_json::from_value(device["features"].clone()).expect("a list of names");
        let has = |name: &str| features.iter().any(|feature| feature == name);
        dawn.caps.f16 = has("shader-f16");
        dawn.caps.subgroups =
            has("subgroups").then(|| serde_json::from_value(device["subgroups"].clone()).expect("two sizes"));
        Some(dawn)
    }

    fn answer(&mut self) -> Value {
        let line = self.answers.next().expect("Dawn answers").expect("in text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.questions, "{question}").expect("Dawn listens");
        let answer = self.answer();
        answer["error"].as_str().map_or_else(|| Ok(answer.clone()), |error| Err(error.into()))
    }

    /// Runs a program step by step, as a plan would.
    fn run(&mut self, problem: &Problem, inputs: &Inputs<'_>, program: &Program) -> Result<Outputs<f32>, String> {
        let views: Vec<_> = problem.views().collect();
        let workspace = (program.workspace_bytes > 0).then(|| vec![0_u32; program.workspace_bytes as usize / 4]);
        let buffers: Vec<_> = views.iter().map(|view| contents(view, inputs)).chain(workspace).collect();
        let sources: Vec<_> = program.kernels.iter().map(|kernel| kernel.shader().source()).collect();
        let texts = program.kernels.iter().zip(&sources);
        let texts: Vec<_> = texts.map(|(kernel, source)| for_tint(&source.wgsl, kernel.shader().needs())).collect();
        let steps: Vec<_> = program.steps.iter().map(|step| as_json(step, program, &sources, &views)).collect();
        let answer = self.ask(&json!({ "texts": texts, "buffers": buffers, "steps": steps }))?;
        let results: Vec<Vec<u32>> = serde_json::from_value(answer["buffers"].clone()).expect("words");
        Ok(outputs(&views, &results))
    }
}

impl Drop for Dawn {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The text as WebGPU wants it. naga knows subgroup operations without their `enable`, and refuses it.
fn for_tint(wgsl: &str, needs: Needs) -> String {
    if needs.subgroups { format!("enable subgroups;\n{wgsl}") } else { wgsl.into() }
}

/// What lies in the buffer of a tensor before the first step.
fn contents(view: &View, inputs: &Inputs<'_>) -> Vec<u32> {
    let mut bytes = inputs.get(view.tensor).map_or(Vec::new(), |data| stored(data, view.dtype));
    bytes.resize(view.bytes().expect("a legal problem") as usize, 0);
    bytemuck::pod_collect_to_vec(&bytes)
}

/// A step, its buffers by their index: the tensors of the problem, then the workspace.
fn as_json(step: &Step, program: &Program, sources: &[Source], views: &[View]) -> Value {
    let group = &program.groups[step.group];
    let index = |tensor| views.iter().position(|view| view.tensor == tensor).unwrap_or(views.len());
    let bindings = group.windows.iter().filter(|window| {
        let declared = &sources[group.kernel].bindings;
        declared.iter().any(|binding| binding.slot == window.slot)
    });
    let bindings: Vec<_> = bindings
        .map(|window| {
            let (start, end) = (window.bytes.start, window.bytes.end);
            json!({ "binding": window.slot.binding(), "buffer": index(window.tensor), "offset": start, "size": end - start })
        })
        .collect();
    let params: &[u32] = bytemuck::cast_slice(bytemuck::bytes_of(&step.params));
    json!({ "text": group.kernel, "grid": step.grid, "params": params, "bindings": bindings })
}

fn outputs(views: &[View], results: &[Vec<u32>]) -> Outputs<f32> {
    let mut outputs = Outputs::default();
    for (view, words) in views.iter().zip(results).filter(|(view, _)| view.is_output()) {
        let mut elements = elements(bytemuck::cast_slice(words), view.dtype);
        elements.truncate(view.extent().expect("a legal problem") as usize);
        match view.tensor {
            Tensor::TopKeys => outputs.set_words(view.tensor, elements),
            tensor => outputs.set(tensor, elements.into_iter().map(|bits| number(bits, view.dtype)).collect()),
        }
    }
    outputs
}

#[test]
#[ignore = "needs Dawn"]
fn tint_accepts_all() {
    let Some(mut dawn) = Dawn::start() else { return };
    let (f16, subgroups) = (dawn.caps.f16, dawn.caps.subgroups.is_some());
    each("Tint", sample(), |Reflected { kernel, source, .. }| {
        let needs = kernel.shader().needs();
        if needs.matrices {
            return Verdict::LeftOut("wgpu's cooperative matrices are not WebGPU's");
        }
        if needs.f16 && !f16 || needs.subgroups && !subgroups {
            return Verdict::LeftOut("its device lacks a feature");
        }
        dawn.ask(&json!({ "wgsl": for_tint(&source.wgsl, needs) })).err().into()
    });
    let alone = "@compute @workgroup_size(2) fn main(@builtin(local_invocation_index) i: u32) { if i > 0 { workgroupBarrier(); } }";
    assert!(dawn.ask(&json!({ "wgsl": alone })).is_err(), "a barrier that some reach alone passed");
}

/// The program for a problem on Dawn's device.
fn program(dawn: &Dawn, problem: &Problem, choice: Choice) -> Program {
    Program::new(problem.clone(), &dawn.caps, choice).expect("a legal problem")
}
