//! Queries and keys that are the places of a grid, and see what is near them.

use std::ops::Range;

use crate::{
    error::Error,
    problem::{
        attention::shape::Shape,
        limits::{MAX_LEN, check_size},
    },
};

/// A grid whose places are the queries and the keys, row by row: query `i` and key `i` are place `(i / columns, i % columns)`.
///
/// A query sees a square of places, the same number in each direction:
///
/// * a **neighbourhood**, the `window x window` places around it, shifted inwards at the borders so that all see as many
///   (Hassani et al. 2023, "Neighborhood Attention Transformer", section 3);
/// * or the places of its **window** of `window x window`, from a corner that lies `shift` places past that of the grid (Liu et al.
///   2021, "Swin Transformer", section 3.2). The windows that the borders cut are smaller: what the paper gets by a cyclic shift and
///   a mask.
///
/// ```
/// use wgpu_attention::Grid;
/// let grid = Grid::neighbourhood(4, 5, 3);
/// assert_eq!(grid.near(0).map(|range| (range.start, range.end)), [(0, 3), (0, 3)]); // place (0, 0)
/// assert_eq!(grid.near(14).map(|range| (range.start, range.end)), [(1, 4), (2, 5)]); // place (2, 4)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Grid {
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) window: u32,
    /// Where windows start; `None` for neighbourhoods.
    pub(crate) shift: Option<u32>,
    pub(crate) biased: bool,
}

impl Grid {
    /// Each query sees the `window x window` places around it. The window is odd and no longer than the grid.
    pub const fn neighbourhood(rows: u32, columns: u32, window: u32) -> Self {
        Self { rows, columns, window, shift: None, biased: false }
    }

    /// Each query sees the places of its own window, of which one has a corner at place `(shift, shift)`. The shift is below the
    /// window.
    pub const fn windows(rows: u32, columns: u32, window: u32, shift: u32) -> Self {
        Self { rows, columns, window, shift: Some(shift), biased: false }
    }

    /// Adds to each score a learned bias of the head and of where the key lies from the query: an input `grid_bias [q_heads, 2 window - 1,
    /// 2 window - 1]` f32, finite. Element `[h, y, x]` is of keys `y - (window - 1)` rows below and `x - (window - 1)` columns to the
    /// right, which is how Hassani et al. count; Liu et al. count the other way, so that their tables are to be turned around.
    pub const fn biased(mut self) -> Self {
        self.biased = true;
        self
    }

    /// The rows and the columns of the places that query `i` sees; of a grid that is refused, ranges that mean nothing.
    #[must_use]
    pub fn near(&self, i: u32) -> [Range<u32>; 2] {
        let columns = self.columns.max(1);
        [self.span(i / columns, self.rows), self.span(i % columns, self.columns)]
    }

    /// The definition along one direction, of `len` places.
    fn span(&self, x: u32, len: u32) -> Range<u32> {
        let window = self.window.max(1);
        match self.shift {
            None => {
                let start = x.saturating_sub(window / 2).min(len.saturating_sub(window));
                start..start.saturating_add(window)
            }
            Some(shift) => {
                let shift = shift.min(window - 1);
                let end = (x.saturating_add(window - shift) / window * window).saturating_add(shift);
                end.saturating_sub(window)..end.min(len)
            }
        }
    }

    /// The keys from the first to the last that some of these queries, of which there is one, see.
    pub(crate) fn keys(&self, queries: Range<u32>) -> Range<u32> {
        let ([first, _], [last, _]) = (self.near(queries.start), self.near(queries.end - 1));
        first.start * self.columns..last.end * self.columns
    }

    pub(crate) fn check(&self, shape: &Shape) -> Result<(), Error> {
        check_size("rows of the grid", self.rows, MAX_LEN)?;
        check_size("columns of the grid", self.columns, MAX_LEN)?;
        let places = u64::from(self.rows) * u64::from(self.columns);
        if places != u64::from(shape.q_len) || places != u64::from(shape.kv_len) {
            let b = "q_len or kv_len other than its rows times its columns";
            return Err(Error::Conflict { a: "a grid", b });
        }
        match self.shift {
            None => {
                check_size("window of the grid", self.window, self.rows.min(self.columns))?;
                if self.window.is_multiple_of(2) {
                    return Err(Error::Conflict { a: "a neighbourhood", b: "an even window, which has no middle" });
                }
            }
            Some(shift) => {
                check_size("window of the grid", self.window, MAX_LEN)?;
                if shift >= self.window {
                    let (got, max) = (shift.into(), (self.window - 1).into());
                    return Err(Error::TooLarge { name: "shift of the windows", got, max });
                }
            }
        }
        Ok(())
    }
}
