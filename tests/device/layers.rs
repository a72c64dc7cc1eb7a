//! Linear layers, normalisations and embeddings against their oracles, whole and cut into pieces.

use wgpu_attention::{
    Activation, Attention, Caps, DType, DeviceKind, Embed, Gpu, Layout, Linear, Norm, Problem, kernels::Choice,
    program::Program,
};

use crate::support::{
    Case, Failures,
    case::Values,
    program::{self, Compiled},
    run_plan, text,
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

/// Runs a problem between canaries, its floats so many times as large as usual, and compares; gives the number of dispatches.
fn verdict(gpu: &Gpu, attention: &Attention, problem: &Problem, reach: f32) -> Result<usize, String> {
    let (plan, mut case) = (attention.plan(problem).map_err(text)?, Case::random(problem.clone(), 7));
    for values in case.values.values_mut() {
        if let Values::Floats(data) = values {
            data.iter_mut().for_each(|x| *x *= reach);
        }
    }
    let buffers = run_plan(gpu, &plan, &case)?;
    case.compare(&buffers.outputs(gpu, &case)?).map(|()| plan.steps())
}

/// The same by the kernels that a device with these means would take.
fn verdict_by(gpu: &Gpu, caps: &Caps, problem: &Problem, compiled: &mut Compiled) -> Result<(), String> {
    let program = Program::new(problem, caps, Choice::Suggested).map_err(text)?;
    program::verdict(gpu, &Case::random(problem.clone(), 7), &program, compiled, |text| text)
}

/// This device as if it were a GPU, with its matrices; `None` where it has none.
pub(crate) fn with_matrices(gpu: &Gpu) -> Option<Caps> {
    let caps = Caps { kind: DeviceKind::Other, ..gpu.attention().caps().clone() };
    caps.matrix.map(|_| caps)
}

pub(crate) fn linears() -> Vec<Problem> {
    let layer = |n: usize| {
        let [rows, inputs, outputs] = SIZES[n % SIZES.len()];
        let mut rng = fastrand::Rng::with_seed(n as u64);
        let [x, weight, out] = [(); 3].map(|()| TYPES[rng.usize(..3)]);
        let mut linear = Linear::new(rows, inputs, outputs).x_type(x).weight_type(weight).out_type(out);
        linear = linear.activation(ACTIVATIONS[n % 5]);
        if rng.bool() {
            linear = linear.bias();
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

pub(crate) fn norms() -> Vec<Problem> {
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

pub(crate) fn embeds() -> Vec<Problem> {
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
        let layer = layer.out_type(TYPES[n % 3]).bias().activation(ACTIVATIONS[n % 5]);
        let layer = if n % 2 == 0 { layer.residual() } else { layer.out_layout(gappy(outputs, 3)) };
        let problem = Problem::from(layer);
        let program = Program::new(&problem, &caps, Choice::Suggested).expect("a legal problem");
        assert!(program.kernels[0].shader().needs().matrices, "{problem:?} has no matrices");
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
    let linears = ACTIVATIONS.map(|activation| Problem::from(Linear::new(9, 20, 12).bias().activation(activation)));
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
