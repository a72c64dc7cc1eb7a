//! Faults in the kernels that compute attention: by tiles, by rows, of few rows, by matrices.

use wgpu_attention::{Algorithm, Align, Caps, DType, DeviceKind, Layout, Mask, Shape, Spec, Tensor, kernels::Choice};

use super::{Mutant, SHAPE, hunt, mutant};
use crate::support::{Case, gpu};

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
    mutant("lse in units of log2", "highest + log2(sum) * LN_2", "highest + log2(sum)"),
    mutant("lse of an empty row is 0", "return NEGATIVE_INFINITY;", "return 0u;"),
    mutant("rows past q_len stored", "if query.exists {\n      let factor", "if true {\n      let factor"),
    mutant("last vec4 of the head forgotten", "d < D4 {", "d < D4 - 1 {"),
];

const ROW: [Mutant; 8] = [
    mutant("sum not rescaled", "sum[r] *= factor;", ""),
    mutant("output not rescaled", "o[r * V4 + d] *= factor;", ""),
    mutant("last keys dropped", "k0 < end; k0 += RN", "k0 + RN < end; k0 += RN"),
    mutant("keys of the tile before", "min(at.k0 + BC, keys.end)", "keys.end"),
    mutant("values of another head", "v_row(tile.at.batch, tile.at.kv_head", "v_row(tile.at.batch, 0"),
    mutant("one element of four forgotten", "fma(x.w, y.w, ", "fma(0.0, y.w, "),
    mutant("rows past q_len stored", "if query.exists {\n      let factor", "if true {\n      let factor"),
    mutant("another row's queries", "row_of(lane, r));\n    highest", "row_of(lane, 0));\n    highest"),
];

const SHUFFLE: [Mutant; 2] = [
    mutant(
        "the first neighbour's key",
        "in_subgroup.lane / SHARED_KEYS * SHARED_KEYS + n",
        "in_subgroup.lane / SHARED_KEYS * SHARED_KEYS",
    ),
    mutant("every key the first", "return in_subgroup.lane % SHARED_KEYS;", "return 0u;"),
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

/// Rows that see no key, rows that see some, partial tiles on both sides, grouped heads, gaps, deep scores.
fn deep() -> Case {
    let out = Layout { offset: 4, batch: 4 * 45 * 16 + 1024, head: 45 * 16 + 256, row: 16 };
    let mask = Mask::causal().and(Mask::window(Some(37), None));
    let spec =
        Spec::new(Shape { kv_len: 75, ..SHAPE }).mask(mask).align(Align::At(-3)).out_layout(out).lse().scale(0.5);
    let mut case = Case::random(spec, 5);
    // Keys score about -500 with every query: nothing may depend on where a running maximum starts.
    case.floats_mut(Tensor::Q).chunks_mut(20).for_each(|row| row[0] = 1000.0);
    case.floats_mut(Tensor::K).chunks_mut(20).for_each(|row| row[0] = -1.0);
    case
}

/// Few rows of grouped heads, which do not fill a block, and keys enough to be shared by several work items; a maximum that
/// grows along the keys.
fn few() -> Case {
    let shape = Shape { q_heads: 6, q_len: 5, kv_len: 700, head_dim: 24, value_dim: 20, ..SHAPE };
    let layout = Layout::broadcast(&[6, 5, 700]).expect("three sizes");
    let mut case = Case::random(Spec::new(shape).scale(0.3).lse().bias(layout, 700), 12);
    case.floats_mut(Tensor::Q).chunks_mut(24).for_each(|row| row[0] = 1.0);
    case.floats_mut(Tensor::K).chunks_mut(24).enumerate().for_each(|(j, row)| row[0] = (j % 700) as f32 / 5.0);
    case
}

/// The same for matrices, whose maximum grows past what they wait for, and whose last key lies inside a tile.
fn growing() -> Case {
    let shape = Shape { kv_len: 75, head_dim: 20, value_dim: 12, ..SHAPE };
    let spec = Spec::new(shape).scale(0.3).lse().kv_lens().q_type(DType::F16).kv_type(DType::F16);
    let mut case = Case::random(spec.out_type(DType::F16), 13);
    case.set_words(Tensor::KvLens, vec![70, 41]);
    case.floats_mut(Tensor::Q).chunks_mut(20).for_each(|row| row[0] = 1.0);
    let keys = case.floats_mut(Tensor::K).chunks_mut(20).enumerate().filter(|(_, row)| row[0].is_finite());
    keys.for_each(|(j, row)| row[0] = (j % 75) as f32 * 2.0);
    case
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_tiles_are_caught() {
    hunt(&[deep()], &Caps::webgpu(), Choice::Suggested, &TILE);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_rows_are_caught() {
    let row = Choice::Asked(Algorithm::Row);
    // A CPU holds several rows.
    hunt(&[deep()], &Caps { kind: DeviceKind::Cpu, ..Caps::webgpu() }, row, &ROW);
    let gpu = gpu();
    match gpu.attention().caps().subgroups {
        Some([least, _]) if least >= 4 => hunt(&[deep()], gpu.attention().caps(), row, &SHUFFLE),
        subgroups => println!("no shuffles on this device: {subgroups:?}"),
    }
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_decodes_are_caught() {
    hunt(&[few()], &Caps::webgpu(), Choice::Asked(Algorithm::Decode), &DECODE);
}

#[test]
#[ignore = "needs an adapter"]
fn wrong_matrices_are_caught() {
    let gpu = gpu();
    match gpu.attention().caps() {
        caps if caps.matrix.is_some() => hunt(&[growing()], caps, Choice::Asked(Algorithm::Matrix), &MATRIX),
        _ => println!("no matrices on this device"),
    }
}
