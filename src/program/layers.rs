//! The parts of a layer beside attention: linear layers, normalisations, embeddings.

use crate::{
    error::Error,
    kernels::{
        Kernel,
        layers::{embed::EmbedKernel, linear::LinearKernel, norm::NormKernel},
    },
    problem::{Problem, embed::Embed, linear::Linear, norm::Norm},
    program::{
        builder::{Builder, over},
        region::{Axis, Operand, Region, Span, cut},
    },
    shader::params::Params,
    tensor::{Tensor, layout::Layout, view::View},
};

/// All of a tensor's row, of the rows of a piece.
const ROWS: [Span; 4] = [Span::Whole, Span::Whole, Span::Along(Axis::Rows, 0), Span::Whole];

fn operand(view: View, spans: [Span; 4]) -> Operand {
    Operand { slot: view.tensor.into(), view, spans }
}

/// Four rows of a weight at a time, as heads: pieces of its outputs are whole vec4 of out.
fn by_fours(weight: View) -> View {
    let ([_, _, outputs, inputs], row) = (weight.sizes, weight.layout.row);
    let layout = Layout { head: 4 * row, ..weight.layout };
    View { sizes: [1, outputs.div_ceil(4), 4, inputs], layout, ..weight }
}

impl Builder<'_> {
    /// A linear layer, in pieces of rows and outputs.
    pub(crate) fn linear(&mut self, linear: &Linear) -> Result<(), Error> {
        let kernel = LinearKernel::new(linear, self.caps)?;
        let problem = Problem::from(linear);
        let operands: Vec<_> = problem
            .views()
            .map(|view| match view.tensor {
                Tensor::Weight => {
                    operand(by_fours(view), [Span::Whole, Span::Along(Axis::Heads, 0), Span::Whole, Span::Whole])
                }
                Tensor::LayerBias => operand(view, [Span::Whole; 4]),
                _ => operand(view, ROWS),
            })
            .collect();
        let [rows, inputs, outputs] = linear.sizes();
        let whole = Region { batch: 0..1, heads: 0..outputs.div_ceil(4), rows: 0..rows, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let region = piece.region;
            let mut located = self.located(&operands, &region);
            located.end_within(&problem)?;
            let blocks = region.rows.len().div_ceil(kernel.rows() as usize) as u32;
            let columns = region.heads.len().div_ceil(kernel.columns() as usize) as u64;
            let params = Params { blocks, ..over(&region, Params::default()) };
            let flops = 8 * u64::from(kernel.rows() * kernel.columns()) * u64::from(inputs);
            let items = u64::from(blocks) * columns;
            self.dispatch(Kernel::Linear(kernel), located, params, items, flops)?;
        }
        Ok(())
    }

    /// A normalisation, in pieces of rows.
    pub(crate) fn norm(&mut self, norm: &Norm) -> Result<(), Error> {
        let kernel = NormKernel::new(norm, self.caps)?;
        let spans =
            |tensor| if matches!(tensor, Tensor::NormWeight | Tensor::LayerBias) { [Span::Whole; 4] } else { ROWS };
        let operands: Vec<_> = Problem::from(norm).views().map(|view| operand(view, spans(view.tensor))).collect();
        let [rows, dim] = norm.sizes();
        let whole = Region { batch: 0..1, heads: 0..1, rows: 0..rows, keys: 0..1 };
        for piece in cut(whole, &operands, self.limits(1), |_| None)? {
            let located = self.located(&operands, &piece.region);
            let params = Params { epsilon: norm.epsilon(), ..over(&piece.region, Params::default()) };
            let (items, flops) = (piece.region.rows.len() as u64, 8 * u64::from(dim));
            self.dispatch(Kernel::Norm(kernel), located, params, items, flops)?;
        }
        Ok(())
    }

    /// An embedding, in pieces of rows and parts of the table.
    pub(crate) fn embed(&mut self, embed: &Embed) -> Result<(), Error> {
        let kernel = Kernel::Embed(EmbedKernel::new(embed, self.caps)?);
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
                let located = self.located(&operands, &region);
                let params = Params {
                    kv_len: vocabulary,
                    first_position: embed.positions.map_or(0, |positions| positions.first),
                    period: embed.positions.map_or(1, |positions| positions.period),
                    ..over(&region, Params::default())
                };
                let items = region.rows.len() as u64 * u64::from(dim.div_ceil(4));
                self.dispatch(kernel, located, params, items, 32)?;
            }
        }
        Ok(())
    }
}
