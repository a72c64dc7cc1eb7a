//! Problems without tiles, each invocation with a vec4 of its own: rotations, merges, small inputs into the workspace.

use super::{
    Kernel, Pack,
    program::{Builder, Window, over, place},
    region::{Axis, Operand, Region, Span, cut},
};
use crate::{
    error::Error,
    merge::Merge,
    params::Params,
    problem::Problem,
    rope::{Angles, Rope, Rotary},
    tensor::Tensor,
    view::View,
};

impl Builder<'_> {
    /// A rotation alone.
    pub(super) fn rope(&mut self, rope: &Rope) -> Result<(), Error> {
        let kernel = Kernel::Rotary(super::Rotary::new(rope, self.caps)?);
        let (Some(from), Some(to)) = (rope.view(Tensor::Q), rope.view(Tensor::Out)) else { return Ok(()) };
        self.rotate(kernel, [from, to], Some(rope.rotary), |tensor| rope.view(tensor))
    }

    /// Rows `[batch, heads, rows, dim]` of `q` into `out`, whose rows are keys of the region where they are appended.
    pub(super) fn rotate(
        &mut self,
        kernel: Kernel,
        [from, to]: [View; 2],
        turn: Option<Rotary>,
        table: impl Fn(Tensor) -> Option<View>,
    ) -> Result<(), Error> {
        let [batch, heads, len, dim] = from.sizes;
        let appends = to.tensor != Tensor::Out;
        let to_rows = if appends { Axis::Keys } else { Axis::Rows };
        let [b, h] = [Span::Along(Axis::Batch, 0), Span::Along(Axis::Heads, 0)];
        let row_spans = |axis| [b, h, Span::Along(axis, 0), Span::Whole];
        let mut operands = vec![
            Operand { binding: "q", view: from, spans: row_spans(Axis::Rows) },
            Operand { binding: "out", view: to, spans: row_spans(to_rows) },
        ];
        // Tables of rows go along with the rows; tables of positions are wanted anywhere.
        let by_row = turn.is_some_and(|turn| turn.angles == Angles::Rows);
        for tensor in [Tensor::Cos, Tensor::Sin, Tensor::Positions, Tensor::KvLens] {
            let Some(view) = table(tensor) else { continue };
            let own = by_row && matches!(tensor, Tensor::Cos | Tensor::Sin);
            let spans = if own { [b, Span::Whole, Span::Along(Axis::Rows, 0), Span::Whole] } else { [Span::Whole; 4] };
            operands.push(Operand { binding: tensor.name(), view, spans });
        }
        let keys = if appends { to.sizes[2] } else { len };
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..len, keys: 0..keys };
        for piece in cut(whole, &operands, self.limits(u32::MAX), |_| None)? {
            for keys in piece.parts {
                let region = piece.region.over(keys);
                let windows = self.windows(&operands, &region);
                let place = |binding| place(&operands, &windows, binding);
                let vec4s = u64::from(dim.div_ceil(4));
                let blocks = region.rows.len() as u64 * vec4s;
                let params = Params {
                    q_at: place("q"),
                    out_at: place("out"),
                    angles_at: place("cos"),
                    q_len: len,
                    kv_len: to.sizes[2],
                    group: 1,
                    blocks: blocks as u32,
                    positions: table(Tensor::Cos).map_or(0, |view| view.sizes[2]),
                    ..over(&region, Params::default())
                };
                let items = blocks * (region.heads.len() * region.batch.len()) as u64;
                self.dispatch(kernel, windows, params, items, 32)?;
            }
        }
        Ok(())
    }

    /// Parts that the caller has into out.
    pub(super) fn merge(&mut self, merge: &Merge) -> Result<(), Error> {
        let kernel = Kernel::Merge(super::Merge::new(merge, self.caps)?);
        let (problem, parts) = (Problem::from(merge), merge.parts);
        let [b, h, r] = [Axis::Batch, Axis::Heads, Axis::Rows].map(|axis| Span::Along(axis, 0));
        let mut operands = Vec::new();
        for view in problem.views() {
            let spans = match view.tensor {
                Tensor::Parts | Tensor::PartLses => [Span::Whole, h, r, Span::Whole],
                Tensor::Out | Tensor::Lse => [b, h, r, Span::Whole],
                _ => [Span::Whole; 4],
            };
            operands.push(Operand { binding: view.tensor.name(), view, spans });
        }
        let Some(out) = problem.view(Tensor::Out) else { return Ok(()) };
        let [batch, heads, len, dim] = out.sizes;
        let sinks = problem.view(Tensor::Sinks);
        if let Some(sinks) = &sinks {
            self.program.workspace_bytes = sinks.bytes()?;
            self.pack(sinks, 0, problem.shared_buffer())?;
        }
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..len, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let mut windows = self.windows(&operands, &region);
            let place = |binding| place(&operands, &windows, binding);
            let step =
                |tensor| problem.view(tensor).map_or(0, |view| view.layout.batch.wrapping_mul(batch.into()) as u32);
            let blocks = region.rows.len() as u64 * u64::from(dim.div_ceil(4));
            let params = Params {
                q_at: place("parts"),
                states_at: place("part_lses"),
                out_at: place("out"),
                lse_at: place("lse"),
                parts,
                part_step: step(Tensor::Parts),
                state_step: step(Tensor::PartLses),
                group: 1,
                blocks: blocks as u32,
                ..over(&region, Params::default())
            };
            windows.push(self.workspace(0..self.program.workspace_bytes));
            let items = blocks * (region.heads.len() * region.batch.len()) as u64;
            self.dispatch(kernel, windows, params, items, 16 * u64::from(parts))?;
        }
        Ok(())
    }

    /// Copies a small input to a word of the workspace.
    pub(super) fn pack(&mut self, view: &View, word: u64, shared_buffer: bool) -> Result<(), Error> {
        let (bytes, words) = (view.bytes()?, view.bytes()? / 4);
        let max = self.limits(1).window;
        if bytes > max {
            return Err(Error::BindingLimit { name: view.tensor.name(), bytes, max });
        }
        let small = Window { binding: "small", tensor: view.tensor, bytes: 0..bytes };
        let workspace = self.workspace(0..(word + words) * 4);
        let params = Params { pack_at: word as u32, ..Params::default() };
        let kernel = Kernel::Pack(Pack { shared_buffer });
        self.dispatch(kernel, vec![small, workspace], params, words, 1)
    }
}
