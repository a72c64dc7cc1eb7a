//! Rows of a table by number.

use crate::{
    error::Error,
    problem::{
        limits::{MAX_LEN, MAX_WIDTH, check_float, check_size},
        setters::{Storage, setters},
    },
    tensor::{Tensor, dtype::DType, layout::Layout, view::View},
};

/// Learned positions that an embedding adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Positions {
    count: u32,
    pub(crate) first: u32,
    pub(crate) period: u32,
}

/// Embeds tokens: rows of a table by ids that the device reads, and learned positions where asked for.
///
/// ```text
/// out[i] = table[ids[i]] + positions[first + i % period]
/// ```
///
/// It binds `ids [rows]` u32, `table [vocabulary, dim]`, where asked for `positions [count, dim]` of the type of the table, and writes
/// `out [rows, dim]`. An id past the table gives a row of zeros, positions or not, and reads nothing. Of a [`Layout`] only offset
/// and row count. A table longer than a binding is cut along its rows.
///
/// ```
/// use wgpu_attention::{Embed, Problem};
/// let embed = Embed::new(4 * 128, 50257, 768).positions(1024, 0, 128); // a batch of 4 sequences of 128 tokens
/// assert_eq!(Problem::from(embed).check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Embed {
    sizes: [u32; 3],
    pub(crate) positions: Option<Positions>,
    /// Of the positions too; it has no layout of choice.
    table: Storage,
    out: Storage,
    pub(crate) shared_buffer: bool,
}

impl Embed {
    /// `rows` rows of `dim` elements from a table of `vocabulary`, dense and f32. Rows and vocabulary are at most 2^29, dim at most
    /// [`MAX_WIDTH`].
    pub fn new(rows: u32, vocabulary: u32, dim: u32) -> Self {
        let (sizes, [table, out]) = ([rows, vocabulary, dim], [Storage::default(); 2]);
        Self { sizes, positions: None, table, out, shared_buffer: false }
    }

    /// Adds row `first + i % period` of `positions [count, dim]` to row `i`: `period` is the length of each of several sequences that
    /// lie one behind the other, `first` how many tokens went before.
    pub fn positions(mut self, count: u32, first: u32, period: u32) -> Self {
        self.positions = Some(Positions { count, first, period });
        self
    }

    setters! {
        /// Layout of out.
        out_layout(Layout) sets out.layout,
        /// Element type of the table and of the positions.
        table_type(DType) sets table.dtype,
        /// Element type of out.
        out_type(DType) sets out.dtype,
    }

    /// `[rows, vocabulary, dim]`.
    #[must_use]
    pub const fn sizes(&self) -> [u32; 3] {
        self.sizes
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let [rows, vocabulary, dim] = self.sizes;
        check_size("rows", rows, MAX_LEN)?;
        check_size("vocabulary", vocabulary, MAX_LEN)?;
        check_size("dim", dim, MAX_WIDTH)?;
        if let Some(Positions { count, first, period }) = self.positions {
            check_size("positions", count, MAX_LEN)?;
            check_size("period", period, u32::MAX)?;
            let to = first.saturating_add(period.min(rows));
            if to > count {
                return Err(Error::Range { name: "positions", from: first, to, len: count });
            }
        }
        check_float("table_type", self.table.dtype)?;
        check_float("out_type", self.out.dtype)
    }

    pub(crate) fn ids_view(&self) -> View {
        let [rows, ..] = self.sizes;
        View::dense(Tensor::Ids, [1, 1, 1, rows], DType::U32)
    }

    pub(crate) fn table_view(&self) -> View {
        let [_, vocabulary, dim] = self.sizes;
        self.table.view(Tensor::Table, [1, 1, vocabulary, dim])
    }

    pub(crate) fn out_view(&self) -> View {
        let [rows, _, dim] = self.sizes;
        self.out.view(Tensor::Out, [1, 1, rows, dim]).written()
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [.., dim] = self.sizes;
        match tensor {
            Tensor::Ids => Some(self.ids_view()),
            Tensor::Table => Some(self.table_view()),
            Tensor::Positions => self.positions.map(|positions| self.table.view(tensor, [1, 1, positions.count, dim])),
            Tensor::Out => Some(self.out_view()),
            _ => None,
        }
    }
}
