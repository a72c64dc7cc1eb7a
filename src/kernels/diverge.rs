//! Diverge: how far the weights of two attentions are apart, row by row. Shader `shaders/diverge.wgsl`, oracle
//! [`reference::divergence`](crate::reference::divergence).

use super::{
    Kernel, Shader, Workgroup,
    program::{Builder, over, place},
    region::{Axis, Operand, Region, Span, cut},
};
use crate::{
    divergence::Divergence,
    error::Error,
    params::Params,
    problem::Problem,
    shader::{HEADS, PARAMS, Text},
    view::View,
};

/// Floating-point operations of a key, most of them in two logarithms and a series.
const KEY_FLOPS: u64 = 64;

/// A diverge kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Diverge {
    shared_buffer: bool,
}

impl Diverge {
    /// Its name.
    pub const NAME: &'static str = "diverge";

    /// The kernel for a problem, or why there is none.
    pub fn new(problem: &Divergence) -> Result<Self, Error> {
        problem.check()?;
        Ok(Self { shared_buffer: problem.shared_buffer })
    }
}

impl Shader for Diverge {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn source(&self) -> String {
        const MAIN: &str = include_str!("../../shaders/diverge.wgsl");
        Text::new(self.shared_buffer).join(&[PARAMS, HEADS, MAIN]).finish()
    }

    fn workgroup(&self) -> Workgroup {
        // tile: a vec3, which takes the place of a vec4, for each invocation.
        Workgroup { invocations: 64, bytes: 64 * 16, rows: 1, keys: 64, grouped: false }
    }

    fn loads(&self) -> String {
        "f32, one at a time".into()
    }
}

impl Builder<'_> {
    /// Two attentions compared, a workgroup for each row.
    pub(super) fn divergence(&mut self, divergence: &Divergence) -> Result<(), Error> {
        let kernel = Kernel::Diverge(Diverge::new(divergence)?);
        let [b, h, r] = [Axis::Batch, Axis::Heads, Axis::Rows].map(|axis| Span::Along(axis, 0));
        let operand = |view: View| Operand { binding: view.tensor.name(), view, spans: [b, h, r, Span::Whole] };
        let operands: Vec<_> = Problem::from(divergence).views().map(operand).collect();
        let [batch, heads, rows, kv_len] = divergence.sizes();
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..rows, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let windows = self.windows(&operands, &region);
            let place = |binding| place(&operands, &windows, binding);
            let params = Params {
                // Both are laid out alike, and so are their windows.
                weights_at: place("weights"),
                out_at: place("divergence"),
                kv_len,
                group: 1,
                blocks: region.rows.len() as u32,
                ..over(&region, Params::default())
            };
            let items = (region.rows.len() * region.heads.len()) as u64 * region.batch.len() as u64;
            self.dispatch(kernel, windows, params, items, KEY_FLOPS * u64::from(kv_len))?;
        }
        Ok(())
    }
}
