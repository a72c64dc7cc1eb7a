//! shaders/prefill.wgsl on the CPU: same tiles, same order, same names. To be read beside it; not a fast path.

use super::{Place, Row, collect, read};
use crate::{
    spec::Spec,
    tensor::{Inputs, Outputs, Tensor},
};

const HIDDEN: f32 = -1e30;
const FLOOR: f32 = -1e29;
const LOWEST: f32 = -1e28;
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

/// The running state of a row: maximum and sum of exponentials, in units of log2.
struct Running {
    highest: f32,
    sum: f32,
}

impl Running {
    /// Takes in a tile whose largest score is `top`; returns the factor owed to earlier results.
    fn raise(&mut self, top: f32) -> f32 {
        let factor = (self.highest - top.max(self.highest)).exp2();
        self.highest = top.max(self.highest);
        self.sum *= factor;
        factor
    }

    /// The factor that turns an accumulator into an output row. A row that saw no key becomes zero.
    fn factor(&self) -> f32 {
        if self.sum > 0.0 { 1.0 / self.sum } else { 0.0 }
    }

    fn lse(&self) -> f32 {
        if self.sum > 0.0 { (self.highest + self.sum.log2()) * LN_2 } else { f32::NEG_INFINITY }
    }
}

/// Attention by the prefill algorithm in f32: out and, where asked for, lse.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn tiled(spec: &Spec, inputs: &Inputs<'_>, tiles: Tiles) -> Outputs<f32> {
    super::accept(spec, inputs);
    let mut outputs = collect(spec, |place| visit(spec, inputs, tiles, place));
    (outputs.weights, outputs.scores) = (None, None);
    outputs
}

/// One row through the tiles that its block of rows visits.
fn visit(spec: &Spec, inputs: &Inputs<'_>, tiles: Tiles, (batch, head, i): Place) -> Row<f32> {
    let (shape, band) = (*spec.shape(), spec.band());
    let kv_head = head / (shape.q_heads / shape.kv_heads);
    let row0 = i / tiles.rows * tiles.rows;
    let first = band.keys(row0, shape.kv_len).start / tiles.keys * tiles.keys;
    let end = band.keys((row0 + tiles.rows).min(shape.q_len) - 1, shape.kv_len).end;
    let seen = band.keys(i, shape.kv_len);
    let q = read(spec, Tensor::Q, inputs.q, (batch, head, i));
    let score = |j: u32| {
        let key = read(spec, Tensor::K, inputs.k, (batch, kv_head, j));
        let product: f32 = q.iter().zip(key).map(|(q, k)| q * k).sum();
        (product * spec.scale_or_default()).max(LOWEST) * LOG2_E
    };
    let mut row = Running { highest: FLOOR, sum: 0.0 };
    let mut o = vec![0.0; shape.value_dim as usize];
    for k0 in (first..end).step_by(tiles.keys as usize) {
        let keys = k0..(k0 + tiles.keys).min(shape.kv_len);
        let s: Vec<f32> = keys.clone().map(|j| if seen.contains(&j) { score(j) } else { HIDDEN }).collect();
        let factor = row.raise(s.iter().copied().fold(HIDDEN, f32::max));
        o.iter_mut().for_each(|o| *o *= factor);
        for (j, s) in keys.zip(s) {
            let weight = (s - row.highest).exp2();
            row.sum += weight;
            let value = read(spec, Tensor::V, inputs.v, (batch, kv_head, j));
            o.iter_mut().zip(value).for_each(|(o, v)| *o += weight * v);
        }
    }
    o.iter_mut().for_each(|o| *o *= row.factor());
    Row { out: o, lse: row.lse(), weights: vec![], scores: vec![] }
}
