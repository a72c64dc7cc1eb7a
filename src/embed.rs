//! Rows of a table by number.

use crate::{
    dtype::DType,
    error::Error,
    layout::Layout,
    linear::MAX_WIDTH,
    mask::MAX_LEN,
    rope::{check_float, check_size},
    tensor::Tensor,
    view::View,
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
    layout: Option<Layout>,
    /// Of the table and of out.
    types: [DType; 2],
    pub(crate) shared_buffer: bool,
}

impl Embed {
    /// `rows` rows of `dim` elements from a table of `vocabulary`, dense and f32. Rows and vocabulary are at most 2^29, dim at most
    /// [`MAX_WIDTH`].
    pub fn new(rows: u32, vocabulary: u32, dim: u32) -> Self {
        let (sizes, types) = ([rows, vocabulary, dim], [DType::F32; 2]);
        Self { sizes, positions: None, layout: None, types, shared_buffer: false }
    }

    /// Adds row `first + i % period` of `positions [count, dim]` to row `i`: `period` is the length of each of several sequences that
    /// lie one behind the other, `first` how many tokens went before.
    pub fn positions(mut self, count: u32, first: u32, period: u32) -> Self {
        self.positions = Some(Positions { count, first, period });
        self
    }

    /// Layout of out.
    pub fn out_layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Element type of the table and of the positions.
    pub fn table_type(mut self, dtype: DType) -> Self {
        self.types[0] = dtype;
        self
    }

    /// Element type of out.
    pub fn out_type(mut self, dtype: DType) -> Self {
        self.types[1] = dtype;
        self
    }

    /// The bindings may lie in one buffer ([`Spec::shared_buffer`](crate::Spec::shared_buffer)).
    pub fn shared_buffer(mut self) -> Self {
        self.shared_buffer = true;
        self
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
        check_float("table_type", self.types[0])?;
        check_float("out_type", self.types[1])
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [rows, vocabulary, dim] = self.sizes;
        let of = |sizes, dtype| View::dense(tensor, sizes, dtype);
        match tensor {
            Tensor::Ids => Some(of([1, 1, 1, rows], DType::U32)),
            Tensor::Table => Some(of([1, 1, vocabulary, dim], self.types[0])),
            Tensor::Positions => self.positions.map(|positions| of([1, 1, positions.count, dim], self.types[0])),
            Tensor::Out => Some(View { written: true, ..of([1, 1, rows, dim], self.types[1]).at(self.layout) }),
            _ => None,
        }
    }
}
