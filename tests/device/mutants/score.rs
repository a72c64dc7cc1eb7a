//! Faults in what a pair of a query and a key scores, and in which pairs are seen: biases, caps, sinks, masks, grids.

use wgpu_attention::{Align, BlockMask, Caps, Grid, Layout, Mask, Shape, Slopes, Spec, Tensor, kernels::Choice};

use super::{Mutant, SHAPE, hunt, mutant};
use crate::support::Case;

const SCORING: [Mutant; 14] = [
    mutant("softcap forgotten", "params.softcap * tanh_of(score / params.softcap)", "score"),
    mutant("tanh wrong near 0", "-0.33333306", "-0.4"),
    mutant("tanh wrong far out", "1.0 - 2.0 / (exp(", "1.0 - 1.9 / (exp("),
    mutant("slope of another head", "slopes_row(0, 0, tile.item) + tile.at.head", "slopes_row(0, 0, tile.item)"),
    mutant("slope of another item", "slopes_row(0, 0, tile.item)", "slopes_row(0, 0, 0)"),
    mutant("distance has a sign", "return abs(f32(i - i32(pair.key", "return (f32(i - i32(pair.key"),
    mutant("distance from another key", "+ params.stand + tile.shift;\n  return abs", "+ params.stand;\n  return abs"),
    mutant("bias not added", "+= bias.value", "+= 0.0"),
    mutant("-inf in the bias is a number", "if bits == NEGATIVE_INFINITY", "if false"),
    mutant("short bias reads on", "key >= params.bias_columns", "false"),
    mutant("sink of another head", "sinks_row(0, 0, 0) + own", "sinks_row(0, 0, 0)"),
    mutant("sink forgotten", "+ exp_of(sink - top)", ""),
    mutant("length of another item", "kv_lens_row(0, 0, 0) + at.batch", "kv_lens_row(0, 0, 0)"),
    mutant(
        "keys past the length seen",
        "let k_end = clamp(min(len, params.kv_len),",
        "let k_end = clamp(params.kv_len,",
    ),
];

const SCORE: [Mutant; 6] = [
    mutant("weights of another head", "score_weights_row(0, 0, head_of(tile, query))", "score_weights_row(0, 0, 0)"),
    mutant("tanh ends early", "vec4(-8.2), vec4(8.2)", "vec4(-1.5), vec4(1.5)"),
    mutant("tanh a little off", "vec4(2.163729e-5)", "vec4(2.2e-5)"),
    mutant("one weight of four forgotten", "fma(weight.w, a.w, ", "fma(0.0, a.w, "),
    mutant("factor of another head", "head_scales_row(0, 0, 0) + tile.at.head", "head_scales_row(0, 0, 0)"),
    mutant("factor in the place of the scale", "return params.scale * bitcast", "return bitcast"),
];

const GRID: [Mutant; 7] = [
    mutant("neighbourhoods not shifted inwards", "min(max(x, w / 2) - w / 2, n - w)", "max(x, w / 2) - w / 2"),
    mutant(
        "tiles of the rows above forgotten",
        "return Keys(max(keys.first, min(first,",
        "return Keys(max(keys.first, min(first + 3 * columns,",
    ),
    mutant("tiles of the last rows forgotten", "max(end, tile.k_first))", "max(end - 3 * columns, tile.k_first))"),
    mutant("every column seen", "&& x >= across.x && x < across.y", ""),
    mutant("rows taken for columns", "reach_of(row % columns, columns)", "reach_of(row / columns, columns)"),
    mutant("bias of another head", "grid_bias_row(0, pair.query.tile.at.head, y)", "grid_bias_row(0, 0, y)"),
    mutant(
        "bias turned around",
        "let x = pair.key % columns + params.grid_window - 1 - pair.query.row % columns",
        "let x = pair.query.row % columns + params.grid_window - 1 - pair.key % columns",
    ),
];

const WINDOWS: [Mutant; 2] = [
    mutant("windows not shifted", "(x + w - params.grid_shift) / w * w + params.grid_shift", "(x + w) / w * w"),
    mutant(
        "the first window too long",
        "vec2(max(end, w) - w, min(end, n))",
        "vec2(max(end, w) - w, min(max(end, w), n))",
    ),
];

const KEEP: [Mutant; 5] = [
    mutant("keep-mask upside down", "& KEEP_ONE) != 0", "& KEEP_ONE) == 0"),
    mutant("short keep-mask hides nothing", "if key >= params.keep_columns { return false; }", ""),
    mutant("every tile empty", "(select(0u, 1u, visible) | select(2u, 0u, plain)) << (2 * n)", "0u"),
    mutant("mixed tiles taken for full", "select(2u, 0u, plain)", "0u"),
    mutant("classes of the next tile", "(at.k0 - tile.k_base) / BC", "(at.k0 - tile.k_base) / BC + 1"),
];

const BLOCKS: [Mutant; 13] = [
    mutant("parts upside down", "return block_mask[params.block_parts_at", "return ~block_mask[params.block_parts_at"),
    mutant("the row before in a word", "pair / BLOCK_KEYS * BLOCK_KEYS % 32", "0u"),
    mutant("keys for rows", "row % BLOCK * BLOCK + key % BLOCK", "key % BLOCK * BLOCK + row % BLOCK"),
    mutant("parts not counted", "countOneBits(in_part & (bit - 1))", "0u"),
    mutant("blocks of another head", "block_entry(tile.at.head, row", "block_entry(0u, row"),
    mutant("the first 32 blocks again", "+ key / BLOCK / 32 * 3", ""),
    mutant("whole blocks forgotten", "select(0u, ALL_KEYS, whole)", "0u"),
    mutant("the first word of a row", "BLOCKED && key / BLOCK_KEYS != word", "word == ALL_KEYS"),
    mutant("hidden words not seen", "select(2u, 0u, shown == all)", "0u"),
    mutant("blocks in part taken for whole", "select(MIXED, FULL, all)", "FULL"),
    mutant("blocks of the first row", "x += min(BLOCK - query.row % BLOCK, params.row_end - query.row);", "x += BR;"),
    mutant("blocks of the first key", "key = (key / BLOCK + 1) * BLOCK", "key = end"),
    mutant("tiles skipped twice", "skipped / 2 * BC", "skipped * BC"),
];

/// All that makes a score, with a bias that falls short of the keys and hides all that some rows see.
fn scoring() -> Case {
    let layout = Layout::broadcast(&[1, 4, 45, 140]).expect("four sizes");
    let spec = Spec::new(SHAPE).mask(Mask::window(Some(30), Some(5))).align(Align::End).scale(0.3).softcap(1.5).lse();
    let spec = spec.sinks().kv_lens().alibi(Slopes::BatchHead).bias(layout, 140);
    let mut case = Case::random(spec, 6);
    case.set_words(Tensor::KvLens, vec![145, 97]);
    case
}

/// Additive scores of elements that are no multiple of four.
fn additive() -> Case {
    let spec = Spec::new(Shape { head_dim: 7, ..SHAPE }).scale(0.7).additive().head_scales().lse();
    Case::random(spec, 15)
}

/// A keep-mask that falls short of the keys, the same for items of unequal lengths.
fn keep() -> Case {
    let layout = Layout::broadcast(&[45, 130]).expect("two sizes");
    let mut case = Case::random(Spec::new(SHAPE).scale(0.3).kv_lens().keep(layout, 130), 11);
    // The first item ends before the tiles that the second needs.
    case.set_words(Tensor::KvLens, vec![20, 150]);
    case
}

/// A block mask of each head, of more than 32 blocks, which are smaller than tiles: whole ones, three empty ones side by side, and
/// others.
fn blocks() -> Case {
    let shape = Shape { kv_len: 700, ..SHAPE };
    // Whatever the seed, a mask that means something.
    let mask = |h: u32| {
        let whole = move |i: u32, j: u32| (i / 16 + j / 8 + h).is_multiple_of(4);
        BlockMask::of([45, 700], 16, move |i, j| {
            !(j / 48 + i / 16 + h).is_multiple_of(3) && (whole(i, j / 16 * 16) || (i * 7 + j * 3 + h) % 11 < 4)
        })
    };
    let masks: Vec<_> = (0..4).map(|h| mask(h).expect("legal sizes")).collect();
    let mask = BlockMask::of_heads(&masks).expect("they are alike");
    let spec = Spec::new(shape).scale(0.3).block_mask(mask.form());
    Case::random(spec, 15).with(Tensor::BlockMask, mask.words())
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_scoring_is_caught() {
    hunt(&[scoring()], &Caps::webgpu(), Choice::Suggested, &SCORING);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_additive_scores_are_caught() {
    hunt(&[additive()], &Caps::webgpu(), Choice::Suggested, &SCORE);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_grids_are_caught() {
    let spec = Spec::new(Shape { q_len: 150, ..SHAPE }).scale(0.3).lse();
    let near = Case::random(spec.clone().grid(Grid::neighbourhood(10, 15, 3).biased()), 18);
    hunt(&[near], &Caps::webgpu(), Choice::Suggested, &GRID);
    let windows = Case::random(spec.grid(Grid::windows(10, 15, 4, 1)), 19);
    hunt(&[windows], &Caps::webgpu(), Choice::Suggested, &WINDOWS);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_masks_are_caught() {
    hunt(&[keep()], &Caps::webgpu(), Choice::Suggested, &KEEP);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_block_masks_are_caught() {
    hunt(&[blocks()], &Caps::webgpu(), Choice::Suggested, &BLOCKS);
}
