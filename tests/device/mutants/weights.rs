//! Faults in the kernels that look at the pairs a second time: scores and weights in memory, measures of them, comparisons.

use wgpu_attention::{Align, Caps, Divergence, MapOf, Mask, Measures, Pool, ScoreStage, Spec, Tensor, kernels::Choice};

use super::{Mutant, SHAPE, hunt, mutant};
use crate::{others::two_attentions, support::Case};

const SCORES: [Mutant; 6] = [
    mutant(
        "hidden scores kept",
        "fn hidden_bits() -> u32 {\n  return NEGATIVE_INFINITY",
        "fn hidden_bits() -> u32 {\n  return 7",
    ),
    mutant(
        "hidden weights kept",
        "fn hidden_bits() -> u32 {\n  return 0",
        "fn hidden_bits() -> u32 {\n  return 0x3f000000",
    ),
    mutant("weights not normalised", "80.0)) * state.y", "80.0))"),
    mutant("state of another row", "at.batch, at.head, row) + part", "at.batch, at.head, row / 2 * 2) + part"),
    mutant("tiles not seen left as they were", "hide(tile, lane, k0, min(k0 + BC, tile.k_end));", ""),
    mutant("keys that do not exist left as they were", "hide(tile, lane, tile.k_end, params.key_end);", ""),
];

const MEASURES: [Mutant; 18] = [
    mutant("entropy in units of log2", "select(1.0, LN_2, i == 0)", "1.0"),
    mutant(
        "entropy of what is not divided",
        "(clamp(exponent, -200.0, 200.0) + share)",
        "clamp(exponent, -200.0, 200.0)",
    ),
    mutant("distance has a sign", "p * abs(f32(ahead))", "p * f32(ahead)"),
    mutant("the key after for the key before", "ahead == 1", "ahead == -1"),
    mutant("the first key of all", "key == tile.k_start", "key == tile.k_start + 1"),
    mutant("the largest summed", "max(x, y), i == 1)", "max(x, y), false)"),
    mutant("a range with its end", "key < workspace[range + 1]", "key < workspace[range + 1] + 1"),
    mutant("measures of some invocations", "c < TX; c++", "c < (TX + 1) / 2; c++"),
    mutant(
        "received from the first rows",
        "at.block < blocks.y; at.block++) {\n    let tile = tile_at(at, t);\n    if tile.row0 >= tile.rows { continue; }",
        "at.block < blocks.x + 1; at.block++) {\n    let tile = tile_at(at, t);\n    if tile.row0 >= tile.rows { continue; }",
    ),
    mutant("received by the first key", "sum += column_tile[c * TY + i]", "sum += column_tile[i]"),
    mutant("rows of other cells", "query.exists && query.row >= row_first && query.row < row_past", "query.exists"),
    mutant("sums of all heads, not their mean", "* params.head_share", ""),
    mutant("each head alone", "joined(map[to], strip", "joined(0.0, strip"),
    mutant("the largest for the sum", "return a + b;", "return max(a, b);"),
    mutant("the list not sorted", "scores[at - 1] < score", "false"),
    mutant("keys of the list not moved", "keys_at[at] = keys_at[at - 1];", ""),
    mutant("tiles not looked at", "if t < BR {", "if t < BR && at.k0 == 0 {"),
    mutant("weights of the list not normalised", "weight_of(scores[i], state)", "exp_of(scores[i] - state.x)"),
];

const DIVERGE: [Mutant; 15] = [
    mutant("last key dropped", "key < params.kv_len", "key + 1 < params.kv_len"),
    mutant("sums not divided by", "1.0 / max(whole.xy, vec2(LEAST))", "vec2(1.0)"),
    mutant("divided by the other's sum", "max(whole.xy,", "max(whole.yx,"),
    mutant("the largest for the largest difference", "abs(w.x - w.y)", "max(w.x, w.y)"),
    mutant("differences of one sign", "abs(w.x - w.y)", "w.x - w.y"),
    mutant("differences summed", "max(tile[t].z, tile[t + n].z)", "tile[t].z + tile[t + n].z"),
    mutant("sums of some invocations", "var n = THREADS / 2;", "var n = THREADS / 4;"),
    mutant("the second term of the series", "1.0 + z * (0.16666667", "1.0 + z * (0.1"),
    mutant("the third term of the series", "z * (0.066666667", "z * (0.0"),
    mutant("no series", "abs(d) < 0.25", "false"),
    mutant("nothing but the series", "abs(d) < 0.25", "true"),
    mutant("logarithms from 1/2 to 1", "f32(exponent) * LN_2 +", ""),
    mutant("the second term of a logarithm", "0.33333333", "0.3"),
    mutant("a row without weight is like any", "select(0.0, LN_2, any(weighs))", "0.0"),
    mutant("two rows without weight are unlike", "select(0.0, LN_2, any(weighs))", "LN_2"),
];

fn scores() -> Case {
    let spec = Spec::new(SHAPE).mask(Mask::window(Some(20), Some(5))).align(Align::End).scale(0.3).kv_lens().weights();
    let mut case = Case::random(spec.scores(ScoreStage::Masked), 7);
    case.set_words(Tensor::KvLens, vec![145, 97]);
    case
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_scores_are_caught() {
    hunt(&[scores()], &Caps::webgpu(), Choice::Suggested, &SCORES);
}

/// All measures, with cells lower and higher than tiles, of one map for each head and of one for all.
#[test]
#[ignore = "needs an adapter"]
fn wrong_measures_are_caught() {
    let spec = Spec::new(SHAPE).mask(Mask::window(Some(110), Some(5))).align(Align::End).scale(0.3).sinks();
    let low = Measures::of(&spec).ranges(2).top(5).received().map(11, 13, Pool::Sum, MapOf::EachHead);
    let high = Measures::of(&spec).map(2, 2, Pool::Sum, MapOf::AllHeads);
    let low = Case::random(low, 14).with(Tensor::Ranges, [10, 90, 80, 140]);
    hunt(&[low, Case::random(high, 14)], &Caps::webgpu(), Choice::Suggested, &MEASURES);
}

/// Attentions that are unlike, alike, and nearly equal.
#[test]
#[ignore = "needs an adapter"]
fn wrong_comparisons_are_caught() {
    let cases = [None, Some(0.4), Some(1e-4)].map(|alike| {
        let [weights, others] = two_attentions(2 * 3 * 7, 150, alike, 15);
        let case = Case::new(Divergence::new([2, 3, 7, 150]));
        case.with(Tensor::Weights, weights).with(Tensor::OtherWeights, others)
    });
    hunt(&cases, &Caps::webgpu(), Choice::Suggested, &DIVERGE);
}
