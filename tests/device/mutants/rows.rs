//! Faults in what rows are and where they lie: packed sequences, appends and rotations, parts that are merged, 16-bit elements.

use wgpu_attention::{Align, Angles, Caps, DType, Layout, Mask, Pairs, Rotary, Shape, Spec, Tensor, kernels::Choice};

use super::{Mutant, SHAPE, hunt, mutant};
use crate::support::Case;

const PACKED: [Mutant; 6] = [
    mutant("block of another sequence", "first_block(middle) <= at.block", "first_block(middle) < at.block"),
    mutant("rows of the next sequence", "min(row0 + BR, rows_end)", "row0 + BR"),
    mutant("keys of the next sequence", "clamp(k_stop, k_first, params.key_end)", "params.key_end"),
    mutant("keys of the sequence before", "clamp(k_start, params.key0, params.key_end)", "params.key0"),
    mutant("masks count from the first row of all", "row - tile.q_start", "row"),
    mutant("one alignment for all", "select(0, i32(k_stop - k_start) - i32(q_stop - q_start)", "select(0, 0"),
];

const APPEND: [Mutant; 7] = [
    mutant("appended at the start", "min(kv_len_of(batch), params.kv_len) + row", "min(kv_len_of(batch), 0) + row"),
    mutant("past the capacity", "to >= params.key_end", "to >= params.key_end - 1"),
    mutant("appended keys not seen", "+ params.appended", ""),
    mutant("turned the other way", "select(sin[sines + pair], -sin", "select(-sin[sines + pair], sin"),
    mutant("wrong pairs", "(c + PAIRS) % ROTARY_DIM", "c"),
    mutant("position 0", "i32(min(kv_len_of(batch), last))", "i32(min(kv_len_of(batch), 0))"),
    mutant("queries stand at the first new key", "+ i32(row) + params.stand", "+ i32(row)"),
];

const CUT: [Mutant; 6] = [
    mutant(
        "last part dropped",
        "var sum = 0.0;\n  var o = vec4<f32>();\n  for (var p = 0u; p < params.parts",
        "var sum = 0.0;\n  var o = vec4<f32>();\n  for (var p = 0u; p + 1 < params.parts",
    ),
    mutant("parts not rescaled", "select(share, exp_of(part.x - highest), PARTS_ARE_SUMS)", "1.0"),
    mutant("sums of parts not rescaled", "exp_of(part.x - highest) * part.y", "part.y"),
    mutant("the first part again", "+ p * params.part_step", ""),
    mutant("states of the first part", "+ part * params.state_step", ""),
    mutant("rows of no sequence merged", "if !exists(row) { return; }", ""),
];

const HALVES: [Mutant; 4] = [
    mutant("the other half", "(16 * (i % 2))).x", "(16 * (1 - i % 2))).x"),
    mutant("both halves written", "0xffff0000u >> (16 * (i % 2))", "0u"),
    mutant("stored halves swapped", "[e / 2] >> (16 * (e % 2))", "[e / 2] >> (16 * (1 - e % 2))"),
    mutant(
        "bias of the other half",
        "(16 * (i % 2))) & 0xffff;\n  if BIAS_TYPE",
        "(16 * (1 - i % 2))) & 0xffff;\n  if BIAS_TYPE",
    ),
];

fn packed() -> Case {
    let shape = Shape { batch: 1, q_len: 130, ..SHAPE };
    let spec = Spec::new(shape).mask(Mask::window(None, Some(3))).align(Align::End).scale(0.3).lse().packed(4);
    let mut case = Case::random(spec, 8);
    case.set_words(Tensor::CuQ, vec![3, 40, 40, 73, 125]);
    case.set_words(Tensor::CuK, vec![5, 50, 60, 60, 150]);
    case
}

fn append() -> Case {
    let rotary = Rotary { dim: 12, pairs: Pairs::Halves, angles: Angles::Appended { positions: 160 } };
    let mut case = Case::random(Spec::new(SHAPE).scale(0.3).lse().append_rotated(3, rotary), 9);
    case.set_words(Tensor::KvLens, vec![147, 60]);
    case
}

/// Odd rows of 16-bit floats, which share words.
fn halves() -> Case {
    let shape = Shape { head_dim: 7, value_dim: 5, ..SHAPE };
    let spec = Spec::new(shape).scale(0.3).q_type(DType::F16).kv_type(DType::Bf16).out_type(DType::Bf16);
    Case::random(spec.bias(Layout::broadcast(&[45, 150]).expect("two"), 150).bias_type(DType::F16), 10)
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_sequences_are_caught() {
    hunt(&[packed()], &Caps::webgpu(), Choice::Suggested, &PACKED);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_appends_are_caught() {
    hunt(&[append()], &Caps::webgpu(), Choice::Suggested, &APPEND);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_merges_are_caught() {
    hunt(&[packed()], &Caps { binding_bytes: 4096, ..Caps::webgpu() }, Choice::Suggested, &CUT);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_halves_are_caught() {
    hunt(&[halves()], &Caps::webgpu(), Choice::Suggested, &HALVES);
}
