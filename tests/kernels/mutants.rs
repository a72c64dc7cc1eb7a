//! Kernels with one fault each must be caught: the tests of tests/kernels can fail.

use wgpu_attention::{
    Algorithm, Align, Angles, BlockMask, Caps, DType, DeviceKind, Divergence, Gpu, Grid, Layout, Locate, MapOf, Mask,
    Measures, Pairs, Pool, Problem, Rotary, ScoreStage, Shape, Slopes, Spec, Tensor, View,
    kernels::{Choice, Program},
    reference,
};

use crate::{
    others::two_attentions,
    support::{
        Case, Values, block_form,
        buffers::Buffers,
        program::{self, Compiled},
    },
};

/// A fault: in every shader text, this becomes that.
#[derive(Clone, Copy)]
pub(crate) struct Mutant {
    pub(crate) what: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
}

pub(crate) const fn mutant(what: &'static str, old: &'static str, new: &'static str) -> Mutant {
    Mutant { what, old, new }
}

const TILE: [Mutant; 15] = [
    mutant("scale 1 % off", "return params.scale;", "return params.scale * 1.01;"),
    mutant("one key too few at the right", "params.band_hi + 1", "params.band_hi"),
    mutant("one key too many at the right", "params.band_hi + 1", "params.band_hi + 2"),
    mutant("one key too few at the left", "+ params.band_lo;", "+ params.band_lo + 1;"),
    mutant("no mask inside tiles", "at.k0 < keys.full_first || at.k0 + TX * RN > keys.full_end", "false"),
    mutant("last tile dropped", "while at.k0 < keys.end", "while at.k0 + BC < keys.end"),
    mutant("wrong key head", "head, head / params.group", "head, 0"),
    mutant("wrong batch item", "params.batch0 + plane / params.heads", "0"),
    mutant("sum not rescaled", "sum[r] *= factor;", ""),
    mutant("output not rescaled", "o[r * COLS + j] *= factor;", ""),
    mutant("running maximum starts at 0", "const FLOOR = -1.0e29", "const FLOOR = 0.0"),
    mutant("lse in units of log2", "(highest + log2(sum)) * LN_2", "(highest + log2(sum))"),
    mutant("lse of an empty row is 0", "return NEGATIVE_INFINITY;", "return 0u;"),
    mutant("rows past q_len stored", "if query.exists {\n      let factor", "if true {\n      let factor"),
    mutant("last vec4 of the head forgotten", "d < D4 {", "d < D4 - 1 {"),
];

const ROW: [Mutant; 8] = [
    mutant("sum not rescaled", "sum[r] *= factor;", ""),
    mutant("output not rescaled", "o[r * V4 + d] *= factor;", ""),
    mutant("last keys dropped", "k0 < end; k0 += RN", "k0 + RN < end; k0 += RN"),
    mutant("keys of the tile before", "min(at.k0 + BC, keys.end)", "keys.end"),
    mutant(
        "values of another head",
        "row_at(params.v_at, tile.at.batch, tile.at.kv_head",
        "row_at(params.v_at, tile.at.batch, 0",
    ),
    mutant("one element of four forgotten", "fma(x.w, y.w, ", "fma(0.0, y.w, "),
    mutant("rows past q_len stored", "if query.exists {\n      let factor", "if true {\n      let factor"),
    mutant("another row's queries", "row_of(lane, r));\n    highest", "row_of(lane, 0));\n    highest"),
];

const SHUFFLE: [Mutant; 2] = [
    mutant(
        "the first neighbour's key",
        "place.lane / SHARED_KEYS * SHARED_KEYS + n",
        "place.lane / SHARED_KEYS * SHARED_KEYS",
    ),
    mutant("every key the first", "return place.lane % SHARED_KEYS;", "return 0u;"),
];

const DECODE: [Mutant; 11] = [
    mutant("another row's weights", "weight_tile[r * THREADS + n] * vf", "weight_tile[n] * vf"),
    mutant("sum not rescaled", "sum[r] = sum[r] * factor + s[r];", "sum[r] = sum[r] + s[r];"),
    mutant("output not rescaled", "o[r * COLS + j] *= factor;", ""),
    mutant("the last share dropped", "i < SHARES; i++", "i + 1 < SHARES; i++"),
    mutant("sums of some keys", "i < THREADS; i++) { total", "i + 1 < THREADS; i++) { total"),
    mutant("another head of the group", "Query(head, params.row0", "Query(tile.at.head, params.row0"),
    mutant("another query row", "params.row0 + y % n, here", "params.row0, here"),
    mutant("the first split again", "tile.k_base + n * params.split_keys", "tile.k_base"),
    mutant("no split", "min(mine.k_first + params.split_keys, tile.k_end)", "tile.k_end"),
    mutant("every part the first", "mine.part = params.part + n;", "mine.part = params.part;"),
    mutant("parts on top of each other", "+ tile.part * params.part_step", ""),
];

const MATRIX: [Mutant; 6] = [
    mutant("never rescaled", "if rescale != 0 {", "if false {"),
    mutant("sum not rescaled", "sum[r] *= factor;", ""),
    mutant("the sum of other weights", "rounded[r] *= factor;", ""),
    mutant("keys side by side", "n * TX + lane.tx]; }", "n + lane.tx * RN]; }"),
    mutant("queries of another matrix", "q_matrix[r * DT + c + n] = coop", "q_matrix[r * DT] = coop"),
    mutant("values past the end", "d < V4 && k0 + n < tile.k_end", "d < V4 && k0 + n < params.kv_len"),
];

const MEASURES: [Mutant; 18] = [
    mutant("entropy in units of log2", "select(1.0, LN_2, i == 0)", "1.0"),
    mutant("entropy of what is not divided", "(max(exponent, -200.0) + share)", "max(exponent, -200.0)"),
    mutant("distance has a sign", "p * abs(f32(ahead))", "p * f32(ahead)"),
    mutant("the key after for the key before", "ahead == 1", "ahead == -1"),
    mutant("the first key of all", "key == tile.k_start", "key == tile.k_start + 1"),
    mutant("the largest summed", "max(x, y), i == 1)", "max(x, y), false)"),
    mutant("a range with its end", "2 * i + 1];", "2 * i + 1] + 1;"),
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
    mutant("weights of the list not normalised", "exp2(scores[i] - state.x) * state.y", "exp2(scores[i] - state.x)"),
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

const SCORING: [Mutant; 14] = [
    mutant("softcap forgotten", "params.softcap * tanh_of(score / params.softcap)", "score"),
    mutant("tanh wrong near 0", "-0.33333306", "-0.4"),
    mutant("tanh wrong far out", "1.0 - 2.0 / (exp(", "1.0 - 1.9 / (exp("),
    mutant("slope of another head", "* params.slopes_item + tile.at.head", "* params.slopes_item"),
    mutant("slope of another item", "params.slopes_at + tile.item * params.slopes_item", "params.slopes_at"),
    mutant("distance has a sign", "slope * abs(", "slope * ("),
    mutant(
        "distance from another key",
        "+ params.stand + tile.shift;\n  return slope",
        "+ params.stand;\n  return slope",
    ),
    mutant("bias not added", "+= bias.value", "+= 0.0"),
    mutant("-inf in the bias is a number", "if bits == NEGATIVE_INFINITY", "if false"),
    mutant("short bias reads on", "key >= params.bias_columns", "false"),
    mutant("sink of another head", "params.sinks_at + head", "params.sinks_at"),
    mutant("sink forgotten", "+ exp2(sink - top)", ""),
    mutant("length of another item", "params.lens_at + at.batch", "params.lens_at"),
    mutant("keys past the length seen", "let k_end = clamp(len,", "let k_end = clamp(params.kv_len,"),
];

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
    mutant("weights not normalised", "- state.x) * state.y", "- state.x)"),
    mutant("state of another row", "at.batch, at.head, row) + part", "at.batch, at.head, row / 2 * 2) + part"),
    mutant("tiles not seen left as they were", "hide(tile, lane, k0, min(k0 + BC, tile.k_end));", ""),
    mutant("keys that do not exist left as they were", "hide(tile, lane, tile.k_end, params.key_end);", ""),
];

const PACKED: [Mutant; 6] = [
    mutant("block of another sequence", "first_block(middle) <= at.block", "first_block(middle) < at.block"),
    mutant("rows of the next sequence", "min(row0 + BR, rows_end)", "row0 + BR"),
    mutant("keys of the next sequence", "clamp(k_stop, k_first, params.key_end)", "params.key_end"),
    mutant("keys of the sequence before", "clamp(k_start, params.key0, params.key_end)", "params.key0"),
    mutant("masks count from the first row of all", "row - tile.q_start", "row"),
    mutant("one alignment for all", "select(0, i32(k_stop - k_start) - i32(q_stop - q_start)", "select(0, 0"),
];

const APPEND: [Mutant; 6] = [
    mutant("appended at the start", "min(kv_lens[batch], params.kv_len) + row", "min(kv_lens[batch], 0) + row"),
    mutant("past the capacity", "to >= params.key_end", "to >= params.key_end - 1"),
    mutant("appended keys not seen", "+ params.appended", ""),
    mutant("turned the other way", "select(sin[angles + pair], -sin", "select(-sin[angles + pair], sin"),
    mutant("wrong pairs", "(c + PAIRS) % ROTARY_DIM", "c"),
    mutant("position 0", "min(kv_lens[batch], last) + row", "min(kv_lens[batch], 0) + row"),
];

const CUT: [Mutant; 6] = [
    mutant(
        "last part dropped",
        "var sum = 0.0;\n  var o = vec4<f32>();\n  for (var p = 0u; p < params.parts",
        "var sum = 0.0;\n  var o = vec4<f32>();\n  for (var p = 0u; p + 1 < params.parts",
    ),
    mutant("parts not rescaled", "select(share, exp2(part.x - highest), PARTS_ARE_SUMS)", "1.0"),
    mutant("sums of parts not rescaled", "exp2(part.x - highest) * part.y", "part.y"),
    mutant("the first part again", "+ p * params.part_step", ""),
    mutant("states of the first part", "+ part * params.state_step", ""),
    mutant("rows of no sequence merged", "if !exists(row) { return; }", ""),
];

const SCORE: [Mutant; 6] = [
    mutant("weights of another head", "head_of(tile, query) * HEAD_DIM", "0 * HEAD_DIM"),
    mutant("tanh ends early", "vec4(-8.2), vec4(8.2)", "vec4(-1.5), vec4(1.5)"),
    mutant("tanh a little off", "vec4(2.163729e-5)", "vec4(2.2e-5)"),
    mutant("one weight of four forgotten", "fma(weight.w, a.w, ", "fma(0.0, a.w, "),
    mutant("factor of another head", "params.head_scales_at + head_of(tile, query)", "params.head_scales_at"),
    mutant("factor in the place of the scale", "return params.scale * bitcast", "return bitcast"),
];

const LOCATE: [Mutant; 6] = [
    mutant("filters beside the middle", "let reach = (width - 1) / 2", "let reach = width / 4"),
    mutant("filters turned around", "i % CHANNELS * width + n]", "i % CHANNELS * width + width - 1 - n]"),
    mutant("the first filter for all", "filters[i % CHANNELS * width", "filters[0 * width"),
    mutant(
        "weights of another head",
        "row_at(params.weights_at, at.batch, at.head, 0)",
        "row_at(params.weights_at, at.batch, 0, 0)",
    ),
    mutant("what is found at another key", "found[i / D4 * CHANNELS + c]", "found[c]"),
    mutant("the last filter forgotten", "c < params.channels; c++", "c + 1 < params.channels; c++"),
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
    mutant("bias of another head", "(head_of(tile, query) * side + y)", "y"),
    mutant(
        "bias turned around",
        "let x = key % columns + params.grid_window - 1 - query.row % columns",
        "let x = query.row % columns + params.grid_window - 1 - key % columns",
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

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 45, kv_len: 150, head_dim: 20, value_dim: 12 };

/// Rows that see no key, rows that see some, partial tiles on both sides, grouped heads, gaps, deep scores.
fn deep() -> Case {
    let out = Layout { offset: 4, batch: 4 * 45 * 16 + 1024, head: 45 * 16 + 256, row: 16 };
    let mask = Mask::causal().and(Mask::window(Some(37), None));
    let spec =
        Spec::new(Shape { kv_len: 75, ..SHAPE }).mask(mask).align(Align::At(-3)).out_layout(out).lse().scale(0.5);
    let mut case = Case::random(spec, 5);
    // Keys score about -500 with every query: nothing may depend on where a running maximum starts.
    case.floats(Tensor::Q).chunks_mut(20).for_each(|row| row[0] = 1000.0);
    case.floats(Tensor::K).chunks_mut(20).for_each(|row| row[0] = -1.0);
    case
}

/// All that makes a score, with a bias that falls short of the keys and hides all that some rows see.
fn scoring() -> Case {
    let layout = Layout::broadcast(&[1, 4, 45, 140]).expect("four sizes");
    let spec = Spec::new(SHAPE).mask(Mask::window(Some(30), Some(5))).align(Align::End).scale(0.3).softcap(1.5).lse();
    let spec = spec.sinks().kv_lens().alibi(Slopes::BatchHead).bias(layout, 140);
    let mut case = Case::random(spec, 6);
    case.set_words(Tensor::KvLens, vec![145, 97]);
    case
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
    let mut case = Case::random(Spec::new(shape).scale(0.3).block_mask(block_form(&shape, 16, true)), 15);
    // Whatever the seed, a mask that means something.
    let mask = |h: u32| {
        let whole = move |i: u32, j: u32| (i / 16 + j / 8 + h).is_multiple_of(4);
        BlockMask::of([45, 700], 16, move |i, j| {
            !(j / 48 + i / 16 + h).is_multiple_of(3) && (whole(i, j / 16 * 16) || (i * 7 + j * 3 + h) % 11 < 4)
        })
    };
    let masks: Vec<_> = (0..4).map(|h| mask(h).expect("legal sizes")).collect();
    let mask = BlockMask::of_heads(&masks).expect("they are alike");
    case.spec = Spec::new(shape).scale(0.3).block_mask(mask.form());
    case.values.insert(Tensor::BlockMask as usize, Values::Words(mask.words().to_vec()));
    case
}

fn scores() -> Case {
    let spec = Spec::new(SHAPE).mask(Mask::window(Some(20), Some(5))).align(Align::End).scale(0.3).kv_lens().weights();
    let mut case = Case::random(spec.scores(ScoreStage::Masked), 7);
    case.set_words(Tensor::KvLens, vec![145, 97]);
    case
}

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

/// Additive scores of elements that are no multiple of four.
fn additive() -> Case {
    let spec = Spec::new(Shape { head_dim: 7, ..SHAPE }).scale(0.7).additive().head_scales().lse();
    Case::random(spec, 15)
}

/// Few rows of grouped heads, which do not fill a block, and keys enough to be shared by several work items; a maximum that
/// grows along the keys.
fn few() -> Case {
    let shape = Shape { q_heads: 6, q_len: 5, kv_len: 700, head_dim: 24, value_dim: 20, ..SHAPE };
    let layout = Layout::broadcast(&[6, 5, 700]).expect("three sizes");
    let mut case = Case::random(Spec::new(shape).scale(0.3).lse().bias(layout, 700), 12);
    case.floats(Tensor::Q).chunks_mut(24).for_each(|row| row[0] = 1.0);
    case.floats(Tensor::K).chunks_mut(24).enumerate().for_each(|(j, row)| row[0] = (j % 700) as f32 / 5.0);
    case
}

/// The same for matrices, whose maximum grows past what they wait for, and whose last key lies inside a tile.
fn growing() -> Case {
    let shape = Shape { kv_len: 75, head_dim: 20, value_dim: 12, ..SHAPE };
    let spec = Spec::new(shape).scale(0.3).lse().kv_lens().q_type(DType::F16).kv_type(DType::F16);
    let mut case = Case::random(spec.out_type(DType::F16), 13);
    case.set_words(Tensor::KvLens, vec![70, 41]);
    case.floats(Tensor::Q).chunks_mut(20).for_each(|row| row[0] = 1.0);
    let keys = case.floats(Tensor::K).chunks_mut(20).enumerate().filter(|(_, row)| row[0].is_finite());
    keys.for_each(|(j, row)| row[0] = (j % 75) as f32 * 2.0);
    case
}

fn verdict(
    gpu: &Gpu,
    case: &Case,
    program: &Program,
    compiled: &mut Compiled,
    change: impl Fn(String) -> String,
) -> Result<(), String> {
    let words = (program.workspace_bytes / 4) as u32;
    let workspace = View { written: true, ..View::dense(Tensor::Workspace, [1, 1, 1, words], DType::U32) };
    let views = case.spec.views().chain((words > 0).then_some(workspace));
    let buffers = Buffers::new(gpu, case, views);
    program::run(gpu, program, &buffers, compiled, change);
    case.compare(&buffers.outputs(gpu, case)?)
}

/// Every mutant must fail on the case that the kernels themselves pass.
fn hunt(case: &Case, caps: &Caps, mutants: &[Mutant]) {
    hunt_in(case, caps, Choice::Suggested, mutants);
}

fn hunt_in(case: &Case, caps: &Caps, choice: Choice, mutants: &[Mutant]) {
    let gpu = crate::support::gpu();
    let program = Program::new(&case.spec, caps, choice).expect("a legal spec");
    let mut compiled = Compiled::new();
    verdict(&gpu, case, &program, &mut compiled, |text| text).expect("the kernels themselves pass");
    let mut escaped = Vec::new();
    for Mutant { what, old, new } in mutants {
        let mut texts = program.kernels.iter().map(|kernel| kernel.shader().source());
        assert!(texts.any(|text| text.contains(old)), "{what}: no kernel has {old:?}");
        match verdict(&gpu, case, &program, &mut compiled, |text| text.replace(old, new)) {
            Ok(()) => escaped.push(*what),
            Err(why) => println!("caught: {what}: {why}"),
        }
    }
    assert!(escaped.is_empty(), "went unnoticed: {escaped:?}");
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_tiles_are_caught() {
    hunt(&deep(), &Caps::webgpu(), &TILE);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_rows_are_caught() {
    let row = Choice::Asked(Algorithm::Row);
    // A CPU holds several rows.
    hunt_in(&deep(), &Caps { kind: DeviceKind::Cpu, ..Caps::webgpu() }, row, &ROW);
    let gpu = crate::support::gpu();
    match gpu.attention().caps().subgroups {
        Some([least, _]) if least >= 4 => hunt_in(&deep(), gpu.attention().caps(), row, &SHUFFLE),
        subgroups => println!("no shuffles on this device: {subgroups:?}"),
    }
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_decodes_are_caught() {
    hunt_in(&few(), &Caps::webgpu(), Choice::Asked(Algorithm::Decode), &DECODE);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_matrices_are_caught() {
    let gpu = crate::support::gpu();
    match gpu.attention().caps() {
        caps if caps.matrix.is_some() => hunt_in(&growing(), caps, Choice::Asked(Algorithm::Matrix), &MATRIX),
        _ => println!("no matrices on this device"),
    }
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_scoring_is_caught() {
    hunt(&scoring(), &Caps::webgpu(), &SCORING);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_additive_scores_are_caught() {
    hunt(&additive(), &Caps::webgpu(), &SCORE);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_grids_are_caught() {
    let spec = Spec::new(Shape { q_len: 150, ..SHAPE }).scale(0.3).lse();
    hunt(&Case::random(spec.clone().grid(Grid::neighbourhood(10, 15, 3).biased()), 18), &Caps::webgpu(), &GRID);
    hunt(&Case::random(spec.grid(Grid::windows(10, 15, 4, 1)), 19), &Caps::webgpu(), &WINDOWS);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_masks_are_caught() {
    hunt(&keep(), &Caps::webgpu(), &KEEP);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_block_masks_are_caught() {
    hunt(&blocks(), &Caps::webgpu(), &BLOCKS);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_scores_are_caught() {
    hunt(&scores(), &Caps::webgpu(), &SCORES);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_sequences_are_caught() {
    hunt(&packed(), &Caps::webgpu(), &PACKED);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_appends_are_caught() {
    hunt(&append(), &Caps::webgpu(), &APPEND);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_merges_are_caught() {
    hunt(&packed(), &Caps { binding_bytes: 4096, ..Caps::webgpu() }, &CUT);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_halves_are_caught() {
    hunt(&halves(), &Caps::webgpu(), &HALVES);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_locations_are_caught() {
    let gpu = crate::support::gpu();
    let locate = Locate::new([2, 4, 45, 20], 5, 8);
    // A case of these rows and heads; its own tensors are the problem's.
    let mut case = Case::random(Spec::new(Shape { kv_heads: 4, kv_len: 45, value_dim: 20, ..SHAPE }), 16);
    case.values.retain(|&tensor, _| tensor == Tensor::K as usize);
    let mut rng = fastrand::Rng::with_seed(17);
    for (tensor, count) in [(Tensor::Previous, 2 * 4 * 45), (Tensor::Filters, 5 * 8), (Tensor::FilterWeights, 20 * 5)] {
        case.values.insert(tensor as usize, Values::Floats((0..count).map(|_| rng.f32()).collect()));
    }
    let program = Program::new(&locate, &Caps::webgpu(), Choice::Suggested).expect("a legal problem");
    let mut compiled = Compiled::new();
    let mut verdict = |change: &dyn Fn(String) -> String| {
        let buffers = Buffers::new(&gpu, &case, Problem::from(&locate).views());
        program::run(&gpu, &program, &buffers, &mut compiled, change);
        let outputs = buffers.outputs(&gpu, &case)?;
        reference::check(&locate, &case.inputs(), &outputs).map(drop).map_err(|wrong| wrong.to_string())
    };
    verdict(&|text| text).expect("the kernel itself passes");
    let source = program.kernels[0].shader().source();
    for Mutant { what, old, new } in &LOCATE {
        assert!(source.contains(old), "{what}: the kernel has no {old:?}");
        let why = verdict(&|text| text.replace(old, new)).expect_err(what);
        println!("caught: {what}: {why}");
    }
}

/// All measures, with cells lower and higher than tiles, of one map for each head and of one for all.
#[test]
#[ignore = "needs an adapter"]
fn wrong_measures_are_caught() {
    let gpu = crate::support::gpu();
    let spec = Spec::new(SHAPE).mask(Mask::window(Some(110), Some(5))).align(Align::End).scale(0.3).sinks();
    let measures = Measures::of(&spec).ranges(2).top(5).received();
    let low = measures.map(11, 13, Pool::Sum, MapOf::EachHead);
    let high = Measures::of(&spec).map(2, 2, Pool::Sum, MapOf::AllHeads);
    let mut case = Case::random(spec, 14);
    let mut escaped: Vec<_> = MEASURES.iter().map(|mutant| mutant.what).collect();
    let mut compiled = Compiled::new();
    for (measures, caps) in [(&low, Caps::webgpu()), (&high, Caps::webgpu())] {
        let problem = Problem::from(measures);
        case.values.remove(&(Tensor::Ranges as usize));
        if problem.view(Tensor::Ranges).is_some() {
            case.values.insert(Tensor::Ranges as usize, Values::Words(vec![10, 90, 80, 140]));
        }
        let program = Program::new(&problem, &caps, Choice::Suggested).expect("a legal problem");
        let mut verdict = |change: &dyn Fn(String) -> String| {
            let words = (program.workspace_bytes / 4) as u32;
            let workspace = View { written: true, ..View::dense(Tensor::Workspace, [1, 1, 1, words], DType::U32) };
            let buffers = Buffers::new(&gpu, &case, problem.views().chain([workspace]));
            program::run(&gpu, &program, &buffers, &mut compiled, change);
            let outputs = buffers.outputs(&gpu, &case)?;
            let inputs = crate::measures::inputs(&case, &[]);
            reference::check(measures, &inputs, &outputs).map(drop).map_err(|wrong| wrong.to_string())
        };
        verdict(&|text| text).expect("the kernels themselves pass");
        for Mutant { what, old, new } in &MEASURES {
            if let Err(why) = verdict(&|text| text.replace(old, new)) {
                println!("caught: {what}: {why}");
                escaped.retain(|escaped| escaped != what);
            }
        }
    }
    assert!(escaped.is_empty(), "went unnoticed: {escaped:?}");
}

/// Attentions that are unlike, alike, and nearly equal.
#[test]
#[ignore = "needs an adapter"]
fn wrong_comparisons_are_caught() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 2, q_heads: 3, kv_heads: 1, q_len: 7, kv_len: 150, head_dim: 4, value_dim: 4 };
    let problem = Problem::from(Divergence::new([2, 3, 7, 150]));
    let program = Program::new(&problem, &Caps::webgpu(), Choice::Suggested).expect("a legal problem");
    let mut escaped: Vec<_> = DIVERGE.iter().map(|mutant| mutant.what).collect();
    let mut compiled = Compiled::new();
    for alike in [None, Some(0.4), Some(1e-4)] {
        let mut case = Case::random(Spec::new(shape), 15);
        let both = two_attentions(2 * 3 * 7, 150, alike, 15);
        for (tensor, weights) in [Tensor::Weights, Tensor::OtherWeights].into_iter().zip(both) {
            case.values.insert(tensor as usize, Values::Floats(weights));
        }
        case.values.retain(|&tensor, _| tensor >= Tensor::Weights as usize);
        let mut verdict = |change: &dyn Fn(String) -> String| {
            let buffers = Buffers::new(&gpu, &case, problem.views());
            program::run(&gpu, &program, &buffers, &mut compiled, change);
            let outputs = buffers.outputs(&gpu, &case)?;
            reference::check(&problem, &case.inputs(), &outputs).map(drop).map_err(|wrong| wrong.to_string())
        };
        verdict(&|text| text).expect("the kernel itself passes");
        for Mutant { what, old, new } in &DIVERGE {
            assert!(program.kernels[0].shader().source().contains(old), "{what}: the kernel has no {old:?}");
            if let Err(why) = verdict(&|text| text.replace(old, new)) {
                println!("caught, alike {alike:?}: {what}: {why}");
                escaped.retain(|escaped| escaped != what);
            }
        }
    }
    assert!(escaped.is_empty(), "went unnoticed: {escaped:?}");
}
