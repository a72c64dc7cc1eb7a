//! The parts of a layer beside attention: linear layers, normalisations, embeddings.

use super::{
    Kernel,
    program::{Builder, Window, over, place},
    region::{Axis, Operand, Region, Span, cut},
};
use crate::{
    embed::Embed, error::Error, layout::Layout, linear::Linear, norm::Norm, params::Params, problem::Problem,
    tensor::Tensor, view::View,
};

/// All of a tensor's row, of the rows of a piece.
const ROWS: [Span; 4] = [Span::Whole, Span::Whole, Span::Along(Axis::Rows, 0), Span::Whole];

fn operand(view: View, spans: [Span; 4]) -> Operand {
    Operand { binding: view.tensor.name(), view, spans }
}

/// Four rows of a weight at a time, as heads: pieces of its outputs are whole vec4 of out.
fn by_fours(weight: View) -> View {
    let ([_, _, outputs, inputs], row) = (weight.sizes, weight.layout.row);
    let layout = Layout { head: 4 * row, ..weight.layout };
    View { sizes: [1, outputs.div_ceil(4), 4, inputs], layout, ..weight }
}

impl Builder<'_> {
    /// A linear layer, in pieces of rows and outputs.
    pub(super) fn linear(&mut self, linear: &Linear) -> Result<(), Error> {
        let kernel = super::Linear::new(linear, self.caps)?;
        let problem = Problem::from(linear);
        let operands: Vec<_> = problem
            .views()
            .map(|view| match view.tensor {
                Tensor::Weight => {
                    operand(by_fours(view), [Span::Whole, Span::Along(Axis::Heads, 0), Span::Whole, Span::Whole])
                }
                Tensor::Shift => operand(view, [Span::Whole; 4]),
                _ => operand(view, ROWS),
            })
            .collect();
        let [rows, inputs, outputs] = linear.sizes();
        let whole = Region { batch: 0..1, heads: 0..outputs.div_ceil(4), rows: 0..rows, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let windows = self.within(self.windows(&operands, &region), &problem)?;
            let place = |tensor: Tensor| place(&operands, &windows, tensor.name());
            let blocks = region.rows.len().div_ceil(kernel.rows() as usize) as u32;
            let columns = region.heads.len().div_ceil(kernel.columns() as usize) as u64;
            let params = Params {
                q_at: place(Tensor::X),
                k_at: place(Tensor::Weight),
                v_at: place(Tensor::Residual),
                out_at: place(Tensor::Out),
                bias_at: place(Tensor::Shift),
                blocks,
                ..over(&region, Params::default())
            };
            let flops = 8 * u64::from(kernel.rows() * kernel.columns()) * u64::from(inputs);
            let items = u64::from(blocks) * columns;
            self.dispatch(Kernel::Linear(kernel), windows, kernel.loops(params), items, flops)?;
        }
        Ok(())
    }

    /// A normalisation, in pieces of rows.
    pub(super) fn norm(&mut self, norm: &Norm) -> Result<(), Error> {
        let kernel = super::Norm::new(norm, self.caps)?;
        let spans = |tensor| if matches!(tensor, Tensor::Gain | Tensor::Shift) { [Span::Whole; 4] } else { ROWS };
        let operands: Vec<_> = Problem::from(norm).views().map(|view| operand(view, spans(view.tensor))).collect();
        let [rows, dim] = norm.sizes();
        let whole = Region { batch: 0..1, heads: 0..1, rows: 0..rows, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let windows = self.windows(&operands, &piece.region);
            let place = |tensor: Tensor| place(&operands, &windows, tensor.name());
            let params = Params {
                q_at: place(Tensor::X),
                v_at: place(Tensor::Residual),
                out_at: place(Tensor::Out),
                bias_at: place(Tensor::Shift),
                keep_at: place(Tensor::Gain),
                scale: norm.epsilon(),
                ..over(&piece.region, Params::default())
            };
            let (items, flops) = (piece.region.rows.len() as u64, 8 * u64::from(dim));
            self.dispatch(Kernel::Norm(kernel), windows, kernel.loops(params), items, flops)?;
        }
        Ok(())
    }

    /// An embedding, in pieces of rows and parts of the table.
    pub(super) fn embed(&mut self, embed: &Embed) -> Result<(), Error> {
        let kernel = Kernel::Embed(super::Embed::new(embed, self.caps)?);
        let spans = |tensor| match tensor {
            Tensor::Ids => [Span::Whole, Span::Whole, Span::Whole, Span::Along(Axis::Rows, 0)],
            Tensor::Table => [Span::Whole, Span::Whole, Span::Along(Axis::Keys, 0), Span::Whole],
            Tensor::Positions => [Span::Whole; 4],
            _ => ROWS,
        };
        let operands: Vec<_> = Problem::from(embed).views().map(|view| operand(view, spans(view.tensor))).collect();
        let [rows, vocabulary, dim] = embed.sizes();
        let whole = Region { batch: 0..1, heads: 0..1, rows: 0..rows, keys: 0..vocabulary };
        for piece in cut(whole, &operands, self.limits(u32::MAX), |_| None)? {
            for keys in piece.parts {
                let region = piece.region.over(keys);
                let windows = self.windows(&operands, &region);
                let place = |tensor: Tensor| place(&operands, &windows, tensor.name());
                let params = Params {
                    q_at: place(Tensor::Table),
                    k_at: place(Tensor::Ids),
                    v_at: place(Tensor::Positions),
                    out_at: place(Tensor::Out),
                    kv_len: vocabulary,
                    positions: embed.positions.map_or(0, |positions| positions.first),
                    q_len: embed.positions.map_or(1, |positions| positions.period),
                    ..over(&region, Params::default())
                };
                let items = region.rows.len() as u64 * u64::from(dim.div_ceil(4));
                self.dispatch(kernel, windows, params, items, 32)?;
            }
        }
        Ok(())
    }

    /// Windows that end where their tensors end: the last four of a weight may be fewer.
    fn within(&self, mut windows: Vec<Window>, problem: &Problem) -> Result<Vec<Window>, Error> {
        for window in &mut windows {
            if let Some(view) = problem.view(window.tensor) {
                window.bytes.end = window.bytes.end.min(view.bytes()?);
            }
        }
        Ok(windows)
    }
}
