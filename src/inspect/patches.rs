//! Attention over a picture: tokens that are patches on a grid.

use std::ops::Range;

use crate::{
    inspect::heads::rows_of,
    problem::{
        measures::{MAX_RANGES, Measures, ROW_MEASURES},
        values::Outputs,
    },
};

/// Patches of a picture as tokens, row by row from the top left, after some tokens that are none (a class token).
///
/// ```
/// use wgpu_attention::inspect::PatchRegions;
/// let grid = PatchRegions::new(14, 14).after(1);
/// assert_eq!(grid.token(2, 1), 17);
/// // Two rows of three patches each: the ranges of keys for `Measures::ranges`.
/// assert_eq!(grid.region(2..5, 1..3).unwrap(), [17, 20, 31, 34]);
/// assert_eq!(grid.region(2..15, 0..1), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchRegions {
    columns: u32,
    rows: u32,
    first: u32,
}

impl PatchRegions {
    /// A grid of patches, the first of which is token 0.
    #[must_use]
    pub const fn new(columns: u32, rows: u32) -> Self {
        Self { columns, rows, first: 0 }
    }

    /// The same after the given number of other tokens.
    #[must_use]
    pub const fn after(self, first: u32) -> Self {
        Self { first, ..self }
    }

    /// Columns and rows.
    #[must_use]
    pub const fn size(&self) -> [u32; 2] {
        [self.columns, self.rows]
    }

    /// How many patches; what is above `u32::MAX` counts as that.
    #[must_use]
    pub const fn patches(&self) -> u32 {
        self.columns.saturating_mul(self.rows)
    }

    /// The first token that is a patch.
    #[must_use]
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// The token of the patch in column `x` of row `y`; what is above `u32::MAX` counts as that.
    #[must_use]
    pub const fn token(&self, x: u32, y: u32) -> u32 {
        self.first.saturating_add(y.saturating_mul(self.columns)).saturating_add(x)
    }

    /// The tokens of a region as ranges, a first token and one past the last for each of its rows: what
    /// [`Measures::ranges`] takes, of up to 16 rows. `None` where the region is empty or leaves the grid.
    #[must_use]
    pub fn region(&self, x: Range<u32>, y: Range<u32>) -> Option<Vec<u32>> {
        let inside = x.start < x.end && x.end <= self.columns && y.start < y.end && y.end <= self.rows;
        inside.then(|| y.flat_map(|y| [self.token(x.start, y), self.token(x.end, y)]).collect())
    }

    /// What one query sees of the grid: of its weights on all tokens, those on patches, row by row. `None` where there are fewer.
    #[must_use]
    pub fn seen<'a, T>(&self, weights: &'a [T]) -> Option<&'a [T]> {
        let (first, count) = (self.first as usize, self.patches() as usize);
        weights.get(first..first + count)
    }

    /// How much of their weight the patches of one region give to another, a mean over the patches, for each batch item and chosen
    /// head. `outputs` are those of `measures`, whose [`ranges`](Measures::ranges) are the [`region`](Self::region) that is given to
    /// and whose rows hold all patches of the region `from`. `None` where they do not.
    #[must_use]
    pub fn region_to_region<T: Copy + Into<f64>>(
        &self,
        measures: &Measures,
        outputs: &Outputs<T>,
        from: (Range<u32>, Range<u32>),
    ) -> Option<Vec<f64>> {
        let first_row = measures.spec().only_or_all()[1].start;
        let region = self.region(from.0, from.1)?;
        let tokens = || region.chunks_exact(2).flat_map(|range| range[0]..range[1]);
        let count: u64 = region.chunks_exact(2).map(|range| u64::from(range[1] - range[0])).sum();
        let rows_of_heads = rows_of(measures, outputs)?;
        let mass = |rows: &[Vec<f64>]| {
            let row = |token: u32| rows.get(token.checked_sub(first_row)? as usize);
            let sums = tokens().map(|token| Some(row(token)?.get(ROW_MEASURES as usize..)?.iter().sum::<f64>()));
            Some(sums.sum::<Option<f64>>()? / count as f64)
        };
        rows_of_heads.iter().map(|rows| mass(rows)).collect()
    }
}

const _: () = assert!(MAX_RANGES == 16, "the documentation of PatchRegions::region says so");
