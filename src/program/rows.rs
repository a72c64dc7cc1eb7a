//! Problems whose work items are rows or parts of them: rotations, merges, convolutions of keys, comparisons, small inputs packed into the
//! workspace.

use crate::{
    error::Error,
    kernels::{
        Kernel,
        helpers::{merge::MergeKernel, pack::Pack, rotary::RotaryKernel},
        layers::locate::{KEYS, LocateKernel},
        weights::diverge::Diverge,
    },
    problem::{
        Problem,
        attention::spec::Spec,
        divergence::Divergence,
        locate::Locate,
        merge::Merge,
        rope::{Angles, Rope, Rotary},
    },
    program::{
        builder::{Builder, Located, Window, over},
        region::{Axis, Operand, Region, Span, cut},
    },
    shader::{params::Params, slot::Slot},
    tensor::{Tensor, view::View},
};

/// Floating-point operations of a key, most of them in two logarithms and a series.
const KEY_FLOPS: u64 = 64;

impl Builder<'_> {
    /// A rotation alone.
    pub(crate) fn rope(&mut self, rope: &Rope) -> Result<(), Error> {
        let kernel = Kernel::Rotary(RotaryKernel::new(rope, self.caps)?);
        self.rotate(kernel, [rope.q_view(), rope.out_view()], Some(rope.rotary), 0, |tensor| rope.view(tensor))
    }

    /// Rows `[batch, heads, rows, dim]` of `q` into `out`, whose rows are keys of the region where they are appended. Row 0 turns as
    /// row `stand` of what the angles are of.
    pub(crate) fn rotate(
        &mut self,
        kernel: Kernel,
        [from, to]: [View; 2],
        turn: Option<Rotary>,
        stand: i32,
        table: impl Fn(Tensor) -> Option<View>,
    ) -> Result<(), Error> {
        let [batch, heads, len, dim] = from.sizes;
        let appends = matches!(to.tensor, Tensor::K | Tensor::V);
        let to_rows = if appends { Axis::Keys } else { Axis::Rows };
        let [b, h] = [Span::Along(Axis::Batch, 0), Span::Along(Axis::Heads, 0)];
        let row_spans = |axis| [b, h, Span::Along(axis, 0), Span::Whole];
        let mut operands = vec![
            Operand { slot: Tensor::Q.into(), view: from, spans: row_spans(Axis::Rows) },
            Operand { slot: Tensor::Out.into(), view: to, spans: row_spans(to_rows) },
        ];
        // Tables of rows go along with the rows, unless these stand elsewhere; tables of positions are wanted anywhere.
        let by_row = stand == 0 && turn.is_some_and(|turn| turn.angles == Angles::Rows);
        for tensor in [Tensor::Cos, Tensor::Sin, Tensor::Positions, Tensor::KvLens] {
            let Some(view) = table(tensor) else { continue };
            let own = by_row && matches!(tensor, Tensor::Cos | Tensor::Sin);
            let spans = if own { [b, Span::Whole, Span::Along(Axis::Rows, 0), Span::Whole] } else { [Span::Whole; 4] };
            operands.push(Operand { slot: tensor.into(), view, spans });
        }
        let keys = if appends { to.sizes[2] } else { len };
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..len, keys: 0..keys };
        for piece in cut(whole, &operands, self.limits(u32::MAX), |_| None)? {
            for keys in piece.parts {
                let region = piece.region.over(keys);
                let located = self.located(&operands, &region);
                let vec4s = u64::from(dim.div_ceil(4));
                let blocks = region.rows.len() as u64 * vec4s;
                let params = Params {
                    q_len: len,
                    kv_len: to.sizes[2],
                    group: 1,
                    stand,
                    blocks: blocks as u32,
                    positions: table(Tensor::Cos).map_or(0, |view| view.sizes[2]),
                    ..over(&region, Params::default())
                };
                let items = blocks * (region.heads.len() * region.batch.len()) as u64;
                self.dispatch(kernel, located, params, items, 32)?;
            }
        }
        Ok(())
    }

    /// Parts that the caller has into out.
    pub(crate) fn merge(&mut self, merge: &Merge) -> Result<(), Error> {
        let kernel = Kernel::Merge(MergeKernel::new(merge, self.caps)?);
        let (problem, parts) = (Problem::from(merge), merge.parts);
        let [b, h, r] = [Axis::Batch, Axis::Heads, Axis::Rows].map(|axis| Span::Along(axis, 0));
        let mut operands = Vec::new();
        for view in problem.views() {
            let spans = match view.tensor {
                Tensor::Parts | Tensor::PartLses => [Span::Whole, h, r, Span::Whole],
                Tensor::Out | Tensor::Lse => [b, h, r, Span::Whole],
                _ => [Span::Whole; 4],
            };
            operands.push(Operand { slot: view.tensor.into(), view, spans });
        }
        let [batch, heads, len, dim] = merge.out_view().sizes;
        let sinks = problem.view(Tensor::Sinks);
        let mut packed = None;
        if let Some(sinks) = &sinks {
            self.program.workspace_bytes = sinks.bytes()?;
            packed = Some(self.pack(sinks, 0, 0, problem.shared_buffer())?);
        }
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..len, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let mut located = self.located(&operands, &region);
            let step =
                |tensor| problem.view(tensor).map_or(0, |view| view.layout.batch.wrapping_mul(batch.into()) as u32);
            let blocks = region.rows.len() as u64 * u64::from(dim.div_ceil(4));
            let params = Params {
                parts,
                part_step: step(Tensor::Parts),
                state_step: step(Tensor::PartLses),
                group: 1,
                blocks: blocks as u32,
                ..over(&region, Params::default())
            };
            located.bind(self.workspace(0..self.program.workspace_bytes));
            packed.into_iter().for_each(|place| located.place(Tensor::Sinks, place));
            let items = blocks * (region.heads.len() * region.batch.len()) as u64;
            self.dispatch(kernel, located, params, items, 16 * u64::from(parts))?;
        }
        Ok(())
    }

    /// Copies a small input to a word of the workspace from byte `start` on; its place there.
    pub(crate) fn pack(&mut self, view: &View, start: u64, word: u64, shared_buffer: bool) -> Result<[u32; 4], Error> {
        let (bytes, words) = (view.bytes()?, view.bytes()? / 4);
        let max = self.limits(1).window;
        if bytes > max {
            return Err(Error::BindingLimit { name: view.tensor.name(), bytes, max });
        }
        let mut located = Located::default();
        located.bind(Window { slot: Slot::Small, tensor: view.tensor, bytes: 0..bytes });
        located.bind(self.workspace(start..start + (word + words) * 4));
        let params = Params { pack_at: word as u32, ..Params::default() };
        let kernel = Kernel::Pack(Pack { shared_buffer });
        self.dispatch(kernel, located, params, words, 1)?;
        // What there is one of serves all.
        let stride = |size: u32, stride: u64| if size > 1 { stride as u32 } else { 0 };
        let ([batch, heads, rows, _], at) = (view.sizes, view.layout);
        Ok([word as u32, stride(batch, at.batch), stride(heads, at.head), stride(rows, at.row)])
    }

    /// Keys with what filters find.
    pub(crate) fn locate(&mut self, locate: &Locate) -> Result<(), Error> {
        let kernel = Kernel::Locate(LocateKernel::new(locate, self.caps)?);
        let [b, h, r] = [Axis::Batch, Axis::Heads, Axis::Rows].map(|axis| Span::Along(axis, 0));
        let [batch, heads, kv_len, dim] = locate.sizes();
        let mut operands = Vec::new();
        for view in Problem::from(locate).views() {
            let spans = match view.tensor {
                Tensor::K | Tensor::Out => [b, h, r, Span::Whole],
                // A filter reaches past the keys of a piece.
                Tensor::Previous => [b, if view.sizes[1] > 1 { h } else { Span::Whole }, Span::Whole, Span::Whole],
                _ => [Span::Whole; 4],
            };
            operands.push(Operand { slot: view.tensor.into(), view, spans });
        }
        let one = locate.view(Tensor::Previous).is_some_and(|view| view.sizes[1] == 1);
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..kv_len, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let mut located = self.located(&operands, &region);
            let blocks = (region.rows.len() as u64).div_ceil(KEYS.into());
            let params = Params {
                kv_len,
                channels: locate.channels,
                filter_width: locate.width,
                group: 1,
                blocks: blocks as u32,
                ..over(&region, Params::default())
            };
            if one {
                located.share_heads(Tensor::Previous);
            }
            let items = blocks * (region.heads.len() * region.batch.len()) as u64;
            let flops = 2 * u64::from(KEYS) * u64::from(locate.channels) * (u64::from(locate.width) + u64::from(dim));
            self.dispatch(kernel, located, params, items, flops)?;
        }
        Ok(())
    }

    /// Two attentions compared, a workgroup for each row.
    pub(crate) fn divergence(&mut self, divergence: &Divergence) -> Result<(), Error> {
        let kernel = Kernel::Diverge(Diverge::new(divergence)?);
        let [b, h, r] = [Axis::Batch, Axis::Heads, Axis::Rows].map(|axis| Span::Along(axis, 0));
        let operand = |view: View| Operand { slot: view.tensor.into(), view, spans: [b, h, r, Span::Whole] };
        let operands: Vec<_> = Problem::from(divergence).views().map(operand).collect();
        let [batch, heads, rows, kv_len] = divergence.sizes();
        let whole = Region { batch: 0..batch, heads: 0..heads, rows: 0..rows, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let located = self.located(&operands, &region);
            let params =
                Params { kv_len, group: 1, blocks: region.rows.len() as u32, ..over(&region, Params::default()) };
            let items = (region.rows.len() * region.heads.len()) as u64 * region.batch.len() as u64;
            self.dispatch(kernel, located, params, items, KEY_FLOPS * u64::from(kv_len))?;
        }
        Ok(())
    }
}

/// New keys and values into the cache, and where they turn, queries into the workspace. What is left to compute, and how many bytes of
/// the workspace the queries take.
pub(crate) fn append(builder: &mut Builder<'_>, spec: &Spec) -> Result<u64, Error> {
    let Some(append) = spec.append else { return Ok(0) };
    let keys = (spec.new_k_view(append), spec.k_view(), append.rotary);
    for (from, to, turn) in [keys, (spec.new_v_view(append), spec.v_view(), None)] {
        let kernel = Kernel::Rotary(RotaryKernel::append(&from, &to, turn, builder.caps, spec.shared_buffer));
        let table = |tensor| spec.view(tensor).filter(|_| turn.is_some() || tensor == Tensor::KvLens);
        builder.rotate(kernel, [from, to], turn, 0, table)?;
    }
    let Some(rotary) = append.rotary else { return Ok(0) };
    let [from, to] = [spec.q_view(), spec.turned_queries().q_view()];
    let to = View { tensor: Tensor::Workspace, ..to }.written();
    let bytes = to.bytes()?;
    let kernel = Kernel::Rotary(RotaryKernel::turn(&from, &to, rotary, builder.caps, spec.shared_buffer));
    let stand = append.len as i32 - spec.shape().q_len as i32;
    builder.rotate(kernel, [from, to], Some(rotary), stand, |tensor| spec.view(tensor))?;
    Ok(bytes)
}
