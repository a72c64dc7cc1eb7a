//! Faults in layers beside attention: linear layers, normalisations, embeddings, keys with what filters find.

use wgpu_attention::{Activation, Caps, DType, DeviceKind, Embed, Linear, Locate, Norm, Problem, kernels::Choice};

use super::{Mutant, hunt, mutant};
use crate::{
    layers::with_matrices,
    support::{Case, gpu},
};

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
    mutant(
        "bias of the first outputs",
        "load_layer_bias(layer_bias_row(0, 0, 0), c)",
        "load_layer_bias(layer_bias_row(0, 0, 0), 0)",
    ),
    mutant(
        "residual before the activation",
        "activated(sums[r * COLS + j] + layer_bias_of(c)) + residual_of(row, c)",
        "activated(sums[r * COLS + j] + layer_bias_of(c) + residual_of(row, c))",
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
    mutant("rows of the first subgroup", "in_subgroup.group * RT * T", "0u"),
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
    mutant("epsilon forgotten", "+ params.epsilon)", ")"),
    mutant("the first weight for all", "* norm_weight_of(d)", "* norm_weight_of(0)"),
    mutant("the first bias for all", "+ layer_bias_of(d)", "+ layer_bias_of(0)"),
    mutant("the first row's residual", "residual_row(0, 0, row)", "residual_row(0, 0, 0)"),
];

const EMBED: [Mutant; 5] = [
    mutant("ids past the table read", "id >= params.key0 && id < params.key_end", "id >= params.key0"),
    mutant("no zeros", "store_out(start, d, vec4<f32>());", ""),
    mutant("the row after", "table_row(0, 0, id)", "table_row(0, 0, max(id, 1) - 1)"),
    mutant("positions do not start again", "row % params.period", "row"),
    mutant("positions from the first", "params.first_position + row", "row"),
];

const LOCATE: [Mutant; 6] = [
    mutant("filters beside the middle", "let reach = (width - 1) / 2", "let reach = width / 4"),
    mutant("filters turned around", "filters[filter_at + n]", "filters[filter_at + width - 1 - n]"),
    mutant("the first filter for all", "filters_row(0, 0, i % CHANNELS)", "filters_row(0, 0, 0)"),
    mutant("weights of another head", "previous_row(at.batch, at.head, 0)", "previous_row(at.batch, 0, 0)"),
    mutant("what is found at another key", "found[i / D4 * CHANNELS + c]", "found[c]"),
    mutant("the last filter forgotten", "c < params.channels; c++", "c + 1 < params.channels; c++"),
];

fn hunt_layers(problems: &[Problem], caps: &Caps, mutants: &[Mutant]) {
    let cases: Vec<_> = problems.iter().map(|problem| Case::random(problem.clone(), 7)).collect();
    hunt(&cases, caps, Choice::Suggested, mutants);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_layers_are_caught() {
    let (caps, cpu) = (Caps::webgpu(), Caps { kind: DeviceKind::Cpu, ..Caps::webgpu() });
    let linear = |rows, inputs, outputs| {
        let layer = Linear::new(rows, inputs, outputs).bias().residual();
        Problem::from(layer.activation(Activation::Gelu))
    };
    hunt_layers(&[linear(70, 70, 70)], &caps, &[&LINEAR[..], &TILE].concat());
    hunt_layers(&[linear(70, 70, 70)], &cpu, &ROWS);
    hunt_layers(&[linear(7, 301, 5)], &caps, &FEW);
    let norms = [Norm::layer(5, 150, 0.1).residual(), Norm::rms(5, 149, 0.1)].map(Problem::from);
    hunt_layers(&norms, &caps, &NORM);
    let halves = Linear::new(70, 70, 70).x_type(DType::F16).weight_type(DType::F16);
    match with_matrices(&gpu()) {
        Some(caps) => hunt_layers(&[halves.into()], &caps, &MATRIX),
        None => println!("no matrices on this device"),
    }
    hunt_layers(&[Embed::new(21, 40, 6).positions(8, 1, 7).into()], &caps, &EMBED);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_locations_are_caught() {
    let case = Case::random(Locate::new([2, 4, 45, 20], 5, 8), 16);
    hunt(&[case], &Caps::webgpu(), Choice::Suggested, &LOCATE);
}
