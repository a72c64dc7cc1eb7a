//! Kernels with one fault each must be caught: the tests of tests/kernels.rs can fail.

use crate::support::{Case, buffers::Buffers, buffers::CANARY};
use wgpu_attention::{Algorithm, Align, Caps, Gpu, Layout, Mask, ScoreStage, Shape, Spec, kernels::Program};

/// A fault: in every shader text, this becomes that.
struct Mutant {
    what: &'static str,
    old: &'static str,
    new: &'static str,
}

const fn mutant(what: &'static str, old: &'static str, new: &'static str) -> Mutant {
    Mutant { what, old, new }
}

const PREFILL: [Mutant; 16] = [
    mutant("scale 1 % off", "product * params.scale", "product * params.scale * 1.01"),
    mutant("one key too few at the right", "params.band_hi + 1", "params.band_hi"),
    mutant("one key too many at the right", "params.band_hi + 1", "params.band_hi + 2"),
    mutant("one key too few at the left", "+ params.band_lo,", "+ params.band_lo + 1,"),
    mutant("no mask inside tiles", "k0 < full_first || k0 + BC > full_end", "false"),
    mutant("last tile dropped", "k0 < end; k0 += BC", "k0 + BC < end; k0 += BC"),
    mutant("wrong key head", "head / params.group", "0"),
    mutant("wrong batch item", "plane / params.q_heads, head", "0, head"),
    mutant("sum not rescaled", "sum[r] *= factor;", ""),
    mutant("output not rescaled", "o[r * COLS + j] *= factor;", ""),
    mutant("running maximum starts at 0", "const FLOOR = -1.0e29", "const FLOOR = 0.0"),
    mutant("empty row divided by 0", "select(0.0, 1.0 / sum, sum > 0.0)", "1.0 / sum"),
    mutant("lse in units of log2", "(highest + log2(sum)) * LN_2", "(highest + log2(sum))"),
    mutant("lse of an empty row is 0", "return NEGATIVE_INFINITY;", "return 0u;"),
    mutant("rows past q_len stored", "if row < tile.rows {\n      let out_row", "if true {\n      let out_row"),
    mutant("last vec4 of the head forgotten", "d < D4 {", "d < D4 - 1 {"),
];

const STAGES: [Mutant; 8] = [
    mutant("scale 1 % off", "product * params.scale", "product * params.scale * 1.01"),
    mutant("mask off by one", "params.band_hi + 1", "params.band_hi"),
    mutant("hidden scores kept", "select(NEGATIVE_INFINITY, bitcast", "select(bitcast<u32>(7.0), bitcast"),
    mutant("hidden weights not cleared", "var weight = 0.0;", "var weight = 0.5;"),
    mutant("last keys not summed", "j < end; j += THREADS) { sum", "j + 1 < end; j += THREADS) { sum"),
    mutant("maximum ignored", "highest = partial[0];", "highest = 0.0;"),
    mutant(
        "weights of another row",
        "return row_at(params.weights_at, at.batch, at.head, row);",
        "return row_at(params.weights_at, at.batch, at.head, row / 2 * 2);",
    ),
    mutant("last tile dropped", "k0 < end; k0 += BC", "k0 + BC < end; k0 += BC"),
];

/// Rows that see no key, rows that see some, partial tiles on both sides, grouped heads, gaps, deep scores.
fn case(outputs: impl Fn(Spec) -> Spec) -> Case {
    let shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 45, kv_len: 75, head_dim: 20, value_dim: 12 };
    let out = Layout { offset: 4, batch: 4 * 45 * 16 + 1024, head: 45 * 16 + 256, row: 16 };
    let mask = Mask::causal().and(Mask::window(Some(37), None));
    let spec = Spec::new(shape).mask(mask).align(Align::At(-3)).out_layout(out).lse().scale(0.5);
    let mut case = Case::random(outputs(spec), 5);
    // Keys 40.. score about -500 with every query: nothing may depend on where a running maximum starts.
    let deep = |row: &mut [f32], x: f32| row[0] = x;
    case.q.chunks_mut(20).for_each(|row| deep(row, 1000.0));
    case.k.chunks_mut(20).for_each(|row| deep(row, -1.0));
    case
}

fn verdict(gpu: &Gpu, case: &Case, program: &Program, change: impl Fn(String) -> String) -> Result<(), String> {
    let buffers = Buffers::new(gpu, case, case.spec.views());
    crate::support::program::run(gpu, program, &buffers, change);
    case.compare(buffers.outputs(gpu)?, f32::from_bits(CANARY))
}

fn hunt(algorithm: Algorithm, mutants: &[Mutant], outputs: impl Fn(Spec) -> Spec) {
    let gpu = crate::support::gpu();
    let case = case(outputs);
    let program = Program::new(&case.spec, &Caps::of(gpu.device()), Some(algorithm)).expect("a legal spec");
    verdict(&gpu, &case, &program, |text| text).expect("the kernel itself passes");
    let mut escaped = Vec::new();
    for Mutant { what, old, new } in mutants {
        let texts: Vec<_> = program.stages.iter().map(|stage| stage.kernel.shader().source()).collect();
        assert!(texts.iter().any(|text| text.contains(old)), "{what}: no kernel has {old:?}");
        match verdict(&gpu, &case, &program, |text| text.replace(old, new)) {
            Ok(()) => escaped.push(*what),
            Err(why) => println!("caught: {what}: {why}"),
        }
    }
    assert!(escaped.is_empty(), "went unnoticed in {algorithm}: {escaped:?}");
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_prefills_are_caught() {
    hunt(Algorithm::Prefill, &PREFILL, |spec| spec);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_stages_are_caught() {
    hunt(Algorithm::Stages, &STAGES, |spec| spec.weights().scores(ScoreStage::Masked));
}
