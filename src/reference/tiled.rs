//! shaders/forward/tile.wgsl, row.wgsl and decode.wgsl on the CPU: same tiles, same order, same names. To be read beside them; not a fast
//! path. They differ in their tiles alone: those of row are the few keys that it scores at a time. What several work items share
//! is merged as [`merge`](super::merge) does; what matrix.wgsl rounds is not followed.

use crate::{
    problem::{
        attention::{shape::ScoreStage, spec::Spec},
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        formula::{Row, collect},
        operands::{Operands, Query},
    },
    tensor::Tensor,
};

const HIDDEN: f32 = -1e30;
const FLOOR: f32 = -1e29;
const LOWEST: f32 = -1e28;
const HIGHEST: f32 = 1e28;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN_2: f32 = std::f32::consts::LN_2;

/// Tile sizes of the kernel that the twin follows ([`Shader::workgroup`](crate::kernels::Shader::workgroup)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Query rows.
    pub rows: u32,
    /// Keys.
    pub keys: u32,
}

/// e to the power of a difference of two scores.
fn exp_of(difference: f32) -> f32 {
    (difference * LOG2_E).exp2()
}

/// The running state of a row: maximum and sum of exponentials.
struct Running {
    highest: f32,
    sum: f32,
}

impl Running {
    /// Takes in a tile whose largest score is `top`; returns the factor owed to earlier results.
    fn raise(&mut self, top: f32) -> f32 {
        let factor = exp_of(self.highest - top.max(self.highest));
        self.highest = top.max(self.highest);
        self.sum *= factor;
        factor
    }

    /// Takes in a logit that has no value; returns the factor owed to earlier results. Both exponentials are at most 1.
    fn sink(&mut self, sink: f32) -> f32 {
        let sink = sink.clamp(LOWEST, HIGHEST);
        let factor = self.raise(sink);
        self.sum += exp_of(sink - self.highest);
        factor
    }

    /// The factor that turns an accumulator into an output row. A row that saw no key becomes zero.
    fn factor(&self) -> f32 {
        if self.sum > 0.0 { 1.0 / self.sum } else { 0.0 }
    }

    fn lse(&self) -> f32 {
        if self.sum > 0.0 { self.highest + self.sum.log2() * LN_2 } else { f32::NEG_INFINITY }
    }
}

/// Attention by running maxima and sums in f32: out and, where asked for, lse.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn tiled(spec: &Spec, inputs: &Inputs<'_>, tiles: Tiles) -> Outputs<f32> {
    accept(spec, inputs);
    let operands = Operands::new::<f32>(spec, inputs);
    let mut outputs = collect(&operands, |query| visit(query, tiles));
    if let Some(out) = outputs.get_mut(Tensor::Out) {
        spec.types.out.round_all(out);
    }
    for tensor in [Tensor::Weights, Tensor::Scores] {
        outputs.take(tensor);
    }
    outputs
}

/// One row through the tiles that its block of rows visits. Blocks and tiles start where their item does.
fn visit(query: &Query<'_>, tiles: Tiles) -> Row<f32> {
    let (spec, item) = (query.operands.spec, query.item);
    let (q_len, kv_len) = (item.queries.len() as u32, item.keys.len() as u32);
    let band = spec.mask.band(item.offset);
    let row0 = (query.i - item.queries.start) / tiles.rows * tiles.rows;
    let first = band.keys(row0, kv_len).start / tiles.keys * tiles.keys;
    let end = band.keys((row0 + tiles.rows).min(q_len) - 1, kv_len).end;
    let score = |j: u32| {
        let product: f32 = query.terms::<f32>(j).into_iter().sum();
        query.score(ScoreStage::Masked, j, product).clamp(LOWEST, HIGHEST)
    };
    let mut row = Running { highest: FLOOR, sum: 0.0 };
    let mut o = vec![0.0; if spec.out { spec.shape().value_dim as usize } else { 0 }];
    for k0 in (first..end).step_by(tiles.keys as usize) {
        let keys = item.keys.start + k0..item.keys.start + (k0 + tiles.keys).min(kv_len);
        let s: Vec<f32> = keys.clone().map(|j| if query.sees(j) { score(j) } else { HIDDEN }).collect();
        let factor = row.raise(s.iter().copied().fold(HIDDEN, f32::max));
        o.iter_mut().for_each(|o| *o *= factor);
        for (j, s) in keys.zip(s) {
            let weight = exp_of(s - row.highest);
            row.sum += weight;
            o.iter_mut().zip(query.value(j)).for_each(|(o, v)| *o += weight * v);
        }
    }
    let lse = row.lse();
    let joined = query.sink.map_or(1.0, |sink| row.sink(sink));
    o.iter_mut().for_each(|o| *o *= joined * row.factor());
    Row { out: o, lse, weights: vec![], scores: vec![] }
}
