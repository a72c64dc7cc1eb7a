//! Which head a page opens at.

use crate::inspect::plot::special::{is_special, places};

/// What is known of the tokens along the sides of a map of weights.
pub(super) struct Tokens {
    /// Rows and columns are the same tokens.
    same: bool,
    columns: usize,
    /// Places of special rows and of special columns.
    special: [Vec<usize>; 2],
}

impl Tokens {
    pub(super) fn new(rows: &[String], columns: &[String]) -> Self {
        let special = [rows, columns].map(|tokens| places(tokens, is_special));
        Self { same: rows == columns, columns: columns.len(), special }
    }

    /// How much one head of `weights [rows, columns]` tells: of each row the largest weight on a key that says something about the
    /// text, averaged over the rows. Many heads look at the first token, at special tokens, at the query itself or at a token beside
    /// it whatever the text is, so where queries and keys are the same tokens these keys do not count; where they are not, special
    /// ones do not. A head that mostly looks at such keys gets a low number, and so does one that looks everywhere alike.
    pub(super) fn telling(&self, weights: &[f32]) -> f64 {
        let [special_rows, special_columns] = &self.special;
        let counts =
            |i: usize, j: usize| !(special_columns.contains(&j) || self.same && (j == 0 || i.abs_diff(j) <= 1));
        let largest = |(i, row): (usize, &[f32])| {
            let telling = row.iter().enumerate().filter(|&(j, weight)| weight.is_finite() && counts(i, j));
            f64::from(telling.fold(0.0_f32, |most, (_, &weight)| most.max(weight)))
        };
        let rows = weights.chunks(self.columns).enumerate().filter(|(i, _)| !special_rows.contains(i));
        let (count, sum) = rows.map(largest).fold((0_u32, 0.0), |(count, sum), most| (count + 1, sum + most));
        sum / f64::from(count.max(1))
    }
}
