//! What to see of an attention without its weights in memory.

use crate::{
    error::Error,
    problem::{attention::spec::Spec, limits::check_size},
    tensor::{Tensor, dtype::DType, view::View},
};

/// Most keys that [`Measures::top`] lists of a row.
pub const MAX_TOP: u32 = 64;

/// Most ranges of keys whose masses are summed.
pub const MAX_RANGES: u32 = 16;

/// Numbers of a row before its ranges ([`Measures::rows`]).
pub const ROW_MEASURES: u32 = 7;

/// What a cell of a map holds of the weights that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Their sum: a map of sums sums to the number of rows that see a key, where there are no sinks.
    Sum,
    /// The largest.
    Max,
}

/// Whose weights a map shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapOf {
    /// Each chosen head in a map of its own.
    EachHead,
    /// All chosen heads in one: of sums the mean over the heads, of the largest the largest.
    AllHeads,
}

/// A map that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Map {
    cells: [u32; 2],
    pub(crate) pool: Pool,
    pub(crate) of: MapOf,
}

/// Measures of the attention weights of a [`Spec`], in memory that grows with the lengths and not with their product: the device
/// goes through queries and keys twice, once for the softmax and once for what is measured.
///
/// The spec says what is scored and masked; what it writes does not count, and values are not read. [`Spec::only`] chooses heads and
/// rows. Weights are as in [`Spec::weights`]: sinks take their share, and rows that see no key have none, so that all their measures
/// are 0.
///
/// | ask for | tensor | |
/// |---|---|---|
/// | [`rows`](Self::rows) | `row_measures [batch, heads, rows, 7 + ranges]` f32 | entropy, largest weight, mean distance, sums |
/// | [`top`](Self::top) | `top_weights`, `top_keys [batch, heads, rows, k]` f32, u32 | the largest weights and their keys |
/// | [`received`](Self::received) | `received [batch, heads, 1, kv_len]` f32 | what each key gets from all rows |
/// | [`map`](Self::map) | `map [batch, heads or 1, rows, columns]` f32 | weights pooled into cells |
///
/// ```
/// use wgpu_attention::{Align, Mask, MapOf, Measures, Pool, Problem, Shape, Spec};
/// let shape = Shape { batch: 1, q_heads: 8, kv_heads: 2, q_len: 65536, kv_len: 65536, head_dim: 64, value_dim: 64 };
/// let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End);
/// let measures = Measures::of(&spec).rows().top(8).map(1024, 1024, Pool::Sum, MapOf::AllHeads);
/// assert_eq!(Problem::from(measures).check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Measures {
    /// Row states are kept as for weights; nothing else is written.
    pub(crate) spec: Spec,
    pub(crate) rows: bool,
    pub(crate) ranges: u32,
    pub(crate) top: u32,
    pub(crate) received: bool,
    pub(crate) map: Option<Map>,
}

impl Measures {
    /// Of the weights of this spec; nothing yet.
    pub fn of(spec: &Spec) -> Self {
        let spec = Spec { out: false, lse: false, scores: None, weights: true, ..spec.clone() };
        Self { spec, rows: false, ranges: 0, top: 0, received: false, map: None }
    }

    /// Of each row, in this order: its entropy `-sum of w ln w` in nats; its largest weight; the mean distance `sum of w |i - j|` of the
    /// keys from where the query stands ([`Spec::align`]; at key `i` where that is not set); the sum of its weights, which sinks
    /// lessen; its weight on the key where it stands, on the key before that, and on the first key.
    /// [`inspect::heads`](crate::inspect::heads) averages them.
    pub fn rows(mut self) -> Self {
        self.rows = true;
        self
    }

    /// [`rows`](Self::rows), and beside them the sums over `count` ranges of keys `ranges [count, 2]` u32, each its first key and one
    /// past its last. With packed sequences, keys count through all of them.
    pub fn ranges(mut self, count: u32) -> Self {
        (self.rows, self.ranges) = (true, count);
        self
    }

    /// Of each row, the `k` keys with the largest weights, the largest first, and of equal scores the first key first. Where a row
    /// sees fewer, the rest have weight 0 and key `u32::MAX`.
    pub fn top(mut self, k: u32) -> Self {
        self.top = k;
        self
    }

    /// Of each key, the sum of the weights that it gets from the chosen rows of each chosen head.
    pub fn received(mut self) -> Self {
        self.received = true;
        self
    }

    /// A map of at most `rows` x `columns` cells over the chosen rows and all keys. Cells are as large as it takes, all equal but the
    /// last, so there may be fewer ([`Problem::view`](crate::Problem::view)); a map with a cell for each pair is the weights.
    pub fn map(mut self, rows: u32, columns: u32, pool: Pool, of: MapOf) -> Self {
        self.map = Some(Map { cells: [rows, columns], pool, of });
        self
    }

    /// The attention.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Rows and keys that one cell of the map covers; `None` without a map.
    #[must_use]
    pub fn cell(&self) -> Option<[u32; 2]> {
        let [_, rows] = self.spec.only_or_all();
        let lens = [rows.len() as u32, self.spec.shape.kv_len];
        self.map.map(|map| [0, 1].map(|axis| lens[axis].div_ceil(map.cells[axis].max(1)).max(1)))
    }

    /// Whether its bindings may lie in one buffer.
    pub(crate) const fn shares_buffer(&self) -> bool {
        self.spec.shares_buffer()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.spec.check_values()?;
        if self.spec.append.is_some() {
            return Err(Error::Conflict { a: "measures", b: "append: append first, and measure with the new lengths" });
        }
        if !self.rows && self.top == 0 && !self.received && self.map.is_none() {
            return Err(Error::NoOutput);
        }
        if self.ranges > MAX_RANGES {
            return Err(Error::TooLarge { name: "ranges", got: self.ranges.into(), max: MAX_RANGES.into() });
        }
        let most = MAX_TOP.min(self.spec.shape.kv_len);
        if self.top > most {
            return Err(Error::TooLarge { name: "top", got: self.top.into(), max: most.into() });
        }
        if let Some(map) = self.map {
            let [_, rows] = self.spec.only_or_all();
            check_size("rows of the map", map.cells[0], rows.len() as u32)?;
            check_size("columns of the map", map.cells[1], self.spec.shape.kv_len)?;
        }
        Ok(())
    }

    pub(crate) fn view(&self, tensor: Tensor) -> Option<View> {
        let [heads, rows] = self.spec.only_or_all();
        let (batch, heads, rows) = (self.spec.shape.batch, heads.len() as u32, rows.len() as u32);
        let kv_len = self.spec.shape.kv_len;
        let written = |sizes, dtype| Some(View::dense(tensor, sizes, dtype).written());
        match tensor {
            Tensor::Ranges if self.ranges > 0 => Some(View::dense(tensor, [1, 1, self.ranges, 2], DType::U32)),
            Tensor::RowMeasures if self.rows => {
                written([batch, heads, rows, ROW_MEASURES.saturating_add(self.ranges)], DType::F32)
            }
            Tensor::TopWeights if self.top > 0 => written([batch, heads, rows, self.top], DType::F32),
            Tensor::TopKeys if self.top > 0 => written([batch, heads, rows, self.top], DType::U32),
            Tensor::Received if self.received => written([batch, heads, 1, kv_len], DType::F32),
            Tensor::Map => {
                let [cell_rows, cell_keys] = self.cell()?;
                let maps = if self.map?.of == MapOf::EachHead { heads } else { 1 };
                written([batch, maps, rows.div_ceil(cell_rows), kv_len.div_ceil(cell_keys)], DType::F32)
            }
            Tensor::V | Tensor::Weights => None,
            _ => self.spec.view(tensor),
        }
    }
}
