//! Linear layers, normalisations and embeddings against their oracles, whole and cut into pieces; and faults in them.

use std::collections::BTreeMap;

use wgpu_attention::{
    Activation, Attention, Caps, DType, DeviceKind, Embed, Gpu, Layout, Linear, Norm, Problem, Shape, Spec, View,
    kernels::{Choice, Program},
    reference, wgpu,
};

use crate::{
    mutants::{Mutant, mutant},
    support::{
        Case, Failures, Values,
        buffers::Buffers,
        each,
        program::{self, Compiled},
        text,
    },
};

const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];

const ACTIVATIONS: [Activation; 5] =
    [Activation::None, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu];

/// Rows, inputs and outputs below, at and above the edges of 4, 8, 16, 32 and 64.
const SIZES: [[u32; 3]; 12] = [
    [1, 1, 1],
    [1, 515, 63],
    [3, 64, 65],
    [4, 7, 5],
    [8, 300, 12],
    [9, 40, 4],
    [16, 64, 64],
    [17, 65, 63],
    [33, 16, 66],
    [63, 17, 130],
    [65, 132, 8],
    [130, 48, 68],
];

/// Rows with gaps between them, at no round address.
fn gappy(dim: u32, gap: u32) -> Layout {
    Layout { offset: gap.into(), batch: 0, head: 0, row: (dim + gap).into() }
}

/// The inputs of a problem, floats as far as `reach` and ids up to 44 or far past any table; gaps hold NaN.
fn case(problem: &Problem, reach: f32) -> Case {
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1 << 20, kv_len: 1, head_dim: 1, value_dim: 1 };
    let mut case = Case { spec: Spec::new(shape), first_row: 0, values: BTreeMap::new() };
    for view in problem.views().filter(View::is_input) {
        let extent = view.extent().expect("a legal problem") as usize;
        let mut rng = fastrand::Rng::with_seed(view.tensor as u64);
        let values = if view.dtype == DType::U32 {
            Values::Words((0..extent).map(|_| if rng.u32(..9) == 0 { u32::MAX } else { rng.u32(..45) }).collect())
        } else {
            let mut data = vec![f32::NAN; extent];
            each(&view, |at, _| data[at] = reach * (2.0 * rng.f32() - 1.0));
            Values::Floats(data)
        };
        case.values.insert(view.tensor as usize, values);
    }
    case
}

fn checked(gpu: &Gpu, problem: &Problem, case: &Case, buffers: &Buffers) -> Result<(), String> {
    let outputs = buffers.outputs(gpu, case)?;
    reference::check(problem, &case.inputs(), &outputs).map(drop).map_err(|wrong| wrong.to_string())
}

/// Runs a problem between canaries and compares; gives the number of dispatches.
fn verdict(gpu: &Gpu, attention: &Attention, problem: &Problem, reach: f32) -> Result<usize, String> {
    let (plan, case) = (attention.plan(problem).map_err(text)?, case(problem, reach));
    let buffers = Buffers::new(gpu, &case, plan.views());
    let bound = plan.bind(&buffers.bindings()).map_err(text)?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    bound.encode(&mut encoder);
    gpu.queue().submit([encoder.finish()]);
    checked(gpu, problem, &case, &buffers).map(|()| plan.steps())
}

/// The same by the kernels that a device with these means would take.
fn verdict_by(gpu: &Gpu, caps: &Caps, problem: &Problem, compiled: &mut Compiled) -> Result<(), String> {
    let program = Program::new(problem, caps, Choice::Suggested).map_err(text)?;
    let case = case(problem, 1.0);
    let buffers = Buffers::new(gpu, &case, problem.views());
    program::run(gpu, &program, &buffers, compiled, |text| text);
    checked(gpu, problem, &case, &buffers)
}

/// This device as if it were a GPU, with its matrices; `None` where it has none.
fn with_matrices(gpu: &Gpu) -> Option<Caps> {
    let caps = Caps { kind: DeviceKind::Other, ..gpu.attention().caps().clone() };
    caps.matrix.map(|_| caps)
}

fn linears() -> Vec<Problem> {
    let layer = |n: usize| {
        let [rows, inputs, outputs] = SIZES[n % SIZES.len()];
        let mut rng = fastrand::Rng::with_seed(n as u64);
        let [x, weight, out] = [(); 3].map(|()| TYPES[rng.usize(..3)]);
        let mut linear = Linear::new(rows, inputs, outputs).x_type(x).weight_type(weight).out_type(out);
        linear = linear.activation(ACTIVATIONS[n % 5]);
        if rng.bool() {
            linear = linear.shift();
        }
        if rng.bool() {
            linear = linear.residual().residual_layout(gappy(outputs, 4 * rng.u32(..2)));
        }
        match rng.u32(..3) {
            0 => linear,
            1 => linear.x_layout(gappy(inputs, 4)).out_layout(gappy(outputs, 8)),
            _ => linear.x_layout(gappy(inputs, 3)).out_layout(gappy(outputs, 5)),
        }
    };
    (0..36).map(|n| layer(n).into()).collect()
}

fn norms() -> Vec<Problem> {
    let norm = |n: usize| {
        let dim = [1, 5, 64, 255, 260, 768][n / 3 % 6];
        let norms = [Norm::layer(7, dim, 1e-5), Norm::rms(7, dim, 1e-6), Norm::unit(7, dim, 1e-6)];
        let norm = norms[n % 3].clone().x_type(TYPES[n / 2 % 3]).out_type(TYPES[n / 4 % 3]);
        match n % 5 {
            0 => norm.residual().residual_layout(gappy(dim, 2)),
            1 => norm.residual().x_layout(gappy(dim, 4)),
            2 => norm.out_layout(gappy(dim, 3)),
            _ => norm,
        }
    };
    (0..36).map(|n| norm(n).into()).collect()
}

fn embeds() -> Vec<Problem> {
    let embed = |n: usize| {
        let dim = [1, 7, 64, 130][n % 4];
        let embed = Embed::new(21, 40, dim).table_type(TYPES[n % 3]).out_type(TYPES[n / 3 % 3]);
        match n % 5 {
            0 => embed.out_layout(gappy(dim, 3)),
            1 => embed.positions(30, 9, 21),
            2 => embed.positions(8, 1, 7).out_layout(gappy(dim, 4)),
            _ => embed,
        }
    };
    (0..18).map(|n| embed(n).into()).collect()
}

#[test]
#[ignore = "needs an adapter"]
fn layers_match_the_oracle() {
    let (gpu, mut failures) = (crate::support::gpu(), Failures::default());
    let devices = [gpu.attention().clone(), Attention::checked(gpu.device())];
    let mut compiled = Compiled::new();
    for (n, problem) in [linears(), norms(), embeds()].concat().iter().enumerate() {
        failures.add(|| format!("{problem:?}"), verdict(&gpu, &devices[n % 2], problem, 1.0).map(drop));
        failures.add(|| format!("as a GPU {problem:?}"), verdict_by(&gpu, &Caps::webgpu(), problem, &mut compiled));
    }
    failures.finish("layers match the oracle");
}

#[test]
#[ignore = "needs an adapter"]
fn matrices_match_the_oracle() {
    let (gpu, mut failures) = (crate::support::gpu(), Failures::default());
    let Some(caps) = with_matrices(&gpu) else { return println!("no matrices on this device") };
    let mut compiled = Compiled::new();
    for (n, [rows, inputs, outputs]) in SIZES.into_iter().enumerate().skip(5) {
        let layer = Linear::new(rows, inputs, outputs).x_type(DType::F16).weight_type(DType::F16);
        let layer = layer.out_type(TYPES[n % 3]).shift().activation(ACTIVATIONS[n % 5]);
        let layer = if n % 2 == 0 { layer.residual() } else { layer.out_layout(gappy(outputs, 3)) };
        let problem = Problem::from(layer);
        let program = Program::new(&problem, &caps, Choice::Suggested).expect("a legal problem");
        assert!(program.kernels[0].needs().matrices, "{problem:?} has no matrices");
        failures.add(|| format!("{problem:?}"), verdict_by(&gpu, &caps, &problem, &mut compiled));
    }
    failures.finish("matrices match the oracle");
}

/// Tensors longer than a binding, cut along rows and along the rows of weights and tables.
#[test]
#[ignore = "needs an adapter"]
fn cut_layers_match_the_oracle() {
    let (gpu, mut failures) = (crate::support::gpu(), Failures::default());
    let short = Caps { binding_bytes: 4096, workgroups: 5, ..gpu.attention().caps().clone() };
    let attention = gpu.attention().limited(short);
    let (mut ran, mut steps) = (0, 0);
    for problem in [linears(), norms(), embeds()].concat() {
        match verdict(&gpu, &attention, &problem, 1.0) {
            Err(why) if why.contains("bytes for one row of work") => {}
            result => {
                (ran, steps) = (ran + 1, steps + result.as_ref().unwrap_or(&0));
                failures.add(|| format!("{problem:?}"), result.map(drop));
            }
        }
    }
    assert!(ran > 60 && steps > 4 * ran, "{ran} problems of {steps} pieces");
    failures.finish("cut layers match the oracle");
}

/// Large and small numbers give large and small results, and never a NaN.
#[test]
#[ignore = "needs an adapter"]
fn extreme_layers_match_the_oracle() {
    let (gpu, mut failures) = (crate::support::gpu(), Failures::default());
    let linears = ACTIVATIONS.map(|activation| Problem::from(Linear::new(9, 20, 12).shift().activation(activation)));
    // One product is one argument of the activation, and the floor of its tolerance.
    let alone = ACTIVATIONS.map(|activation| Problem::from(Linear::new(700, 1, 4).activation(activation)));
    let norms = [Norm::layer(5, 70, 1e-5), Norm::rms(5, 70, 1e-5), Norm::unit(5, 70, 1e-5)].map(Problem::from);
    for problem in linears.iter().chain(&alone).chain(&norms) {
        for reach in [0.0, 1e-6, 3.0, 1e4] {
            failures.add(|| format!("{reach} {problem:?}"), verdict(&gpu, gpu.attention(), problem, reach).map(drop));
        }
    }
    failures.finish("extreme layers match the oracle");
}

const LINEAR: [Mutant; 9] = [
    mutant("last inputs forgotten", "INPUTS - 4 * d", "INPUTS - 1 - 4 * d"),
    mutant("rows of the first block", "params.row0 + item % params.blocks * BR", "params.row0"),
    mutant("outputs of the first block", "params.head0 + item / params.blocks * BC", "params.head0"),
    mutant(
        "weights of another output",
        "min(output, outputs_end(block) - 1)",
        "min(output ^ 1, outputs_end(block) - 1)",
    ),
    mutant("no activation", "if ACTIVATION == 1 {", "if false {"),
    mutant("erf without its sign", "sign(x) * (1.0", "(1.0"),
    mutant("shift of the first outputs", "load_shift(params.bias_at.x, c)", "load_shift(params.bias_at.x, 0)"),
    mutant(
        "residual before the activation",
        "activated(sums[r * COLS + j] + shift_of(c)) + residual_of(row, c)",
        "activated(sums[r * COLS + j] + shift_of(c) + residual_of(row, c))",
    ),
    mutant("outputs past the last stored", "if row < block.rows && c < block.c_end", "if row < block.rows"),
];

const TILE: [Mutant; 3] = [
    mutant(
        "slices of the first inputs",
        "let d = d0 + i % DS;\n      var four = vec4<f32>();\n      if row",
        "let d = i % DS;\n      var four = vec4<f32>();\n      if row",
    ),
    mutant("another row's x", "row_of(lane, r) * PAD", "row_of(lane, 0) * PAD"),
    mutant("outputs side by side", "(n * BC + lane.tx) * PAD", "(n + lane.tx * 4) * PAD"),
];

const ROWS: [Mutant; 2] = [
    mutant("another row's x", "row_of(lane, r)), d); }", "row_of(lane, 0)), d); }"),
    mutant("another output's weights", "4 * (block.c0 + j) + n", "4 * (block.c0 + j)"),
];

const MATRIX: [Mutant; 3] = [
    mutant("weights of the first matrix", "&weight_tile[n * T * KS + d]", "&weight_tile[d]"),
    mutant("rows of the first subgroup", "place.group * RT * T", "0u"),
    mutant("inputs of the first matrix", "(row0 + r * T) * KS + d]", "(row0 + r * T) * KS]"),
];

const FEW: [Mutant; 3] = [
    mutant("inputs of the first invocations", "i < THREADS; i++", "i < THREADS / 2; i++"),
    mutant("another row's sums", "share_tile[lane.t * THREADS + i]", "share_tile[i]"),
    mutant("rows of the first block", "block.row0 + r), d)", "r), d)"),
];

const NORM: [Mutant; 8] = [
    mutant("no mean", "if CENTRED {", "if false {"),
    mutant("mean of the squares", "mean = total(share, t) / f32(VALUE_DIM)", "mean = total(share, t)"),
    mutant("what a row lacks counts", "* present(d)", ""),
    mutant("sums of half the invocations", "n = THREADS / 2", "n = THREADS / 4"),
    mutant("epsilon forgotten", "+ params.scale)", ")"),
    mutant("the first gains", "* gain_of(d)", "* gain_of(0)"),
    mutant("the first shifts", "+ shift_of(d)", "+ shift_of(0)"),
    mutant("the first row's residual", "row_at(params.v_at, 0, 0, row)", "row_at(params.v_at, 0, 0, 0)"),
];

const EMBED: [Mutant; 5] = [
    mutant("ids past the table read", "id >= params.key0 && id < params.key_end", "id >= params.key0"),
    mutant("no zeros", "store_out(start, d, vec4<f32>());", ""),
    mutant("the row after", "row_at(params.q_at, 0, 0, id)", "row_at(params.q_at, 0, 0, max(id, 1) - 1)"),
    mutant("positions do not start again", "row % params.q_len", "row"),
    mutant("positions from the first", "params.positions + row", "row"),
];

/// Every mutant must fail on some of the problems, all of which the kernels themselves pass.
fn hunt(problems: &[Problem], caps: &Caps, mutants: &[Mutant]) {
    let gpu = crate::support::gpu();
    let mut escaped: Vec<_> = mutants.iter().map(|mutant| mutant.what).collect();
    let mut compiled = Compiled::new();
    for problem in problems {
        let (program, case) =
            (Program::new(problem, caps, Choice::Suggested).expect("a legal problem"), case(problem, 1.0));
        let mut verdict = |change: &dyn Fn(String) -> String| {
            let buffers = Buffers::new(&gpu, &case, problem.views());
            program::run(&gpu, &program, &buffers, &mut compiled, change);
            checked(&gpu, problem, &case, &buffers)
        };
        verdict(&|text| text).unwrap_or_else(|why| panic!("{problem:?}: {why}"));
        for Mutant { what, old, new } in mutants {
            if let Err(why) = verdict(&|text| text.replace(old, new)) {
                println!("caught: {what}: {why}");
                escaped.retain(|escaped| escaped != what);
            }
        }
    }
    assert!(escaped.is_empty(), "went unnoticed: {escaped:?}");
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_layers_are_caught() {
    let (gpu, cpu) = (Caps::webgpu(), Caps { kind: DeviceKind::Cpu, ..Caps::webgpu() });
    let linear = |rows, inputs, outputs| {
        let layer = Linear::new(rows, inputs, outputs).shift().residual();
        Problem::from(layer.activation(Activation::Gelu))
    };
    hunt(&[linear(70, 70, 70)], &gpu, &[&LINEAR[..], &TILE].concat());
    hunt(&[linear(70, 70, 70)], &cpu, &ROWS);
    hunt(&[linear(7, 301, 5)], &gpu, &FEW);
    let norms = [Norm::layer(5, 150, 0.1).residual(), Norm::rms(5, 149, 0.1)].map(Problem::from);
    hunt(&norms, &gpu, &NORM);
    let halves = Linear::new(70, 70, 70).x_type(DType::F16).weight_type(DType::F16);
    match with_matrices(&crate::support::gpu()) {
        Some(caps) => hunt(&[halves.into()], &caps, &MATRIX),
        None => println!("no matrices on this device"),
    }
    hunt(&[Embed::new(21, 40, 6).positions(8, 1, 7).into()], &gpu, &EMBED);
}
