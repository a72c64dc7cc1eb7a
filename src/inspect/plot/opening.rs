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

    /// How much one head of `weights [rows, columns]` tells about the text: for each query the most weight that it gives a key above
    /// what the queries give that key on average, averaged over the queries. A head whose queries all look at the same keys gets 0.
    ///
    /// Special keys do not count, and where queries and keys are the same tokens, neither do the first key, the query itself and the
    /// keys beside it: many heads look at them whatever the text is.
    pub(super) fn telling(&self, weights: &[f32]) -> f64 {
        let [special_rows, special_columns] = &self.special;
        let counts =
            |i: usize, j: usize| !(special_columns.contains(&j) || self.same && (j == 0 || i.abs_diff(j) <= 1));
        let rows = weights.chunks(self.columns).enumerate().filter(|(i, _)| !special_rows.contains(i));
        let rows: Vec<(usize, &[f32])> = rows.collect();
        let count = rows.len().max(1) as f64;
        let mut mean = vec![0.0; self.columns];
        for (_, row) in &rows {
            mean.iter_mut().zip(*row).for_each(|(mean, &weight)| *mean += finite(weight));
        }
        mean.iter_mut().for_each(|mean| *mean /= count);
        let most = |&(i, row): &(usize, &[f32])| {
            let above = (0..self.columns).filter(|&j| counts(i, j)).map(|j| finite(row[j]) - mean[j]);
            above.fold(0.0, f64::max)
        };
        rows.iter().map(most).sum::<f64>() / count
    }
}

/// What is not finite counts as 0.
fn finite(weight: f32) -> f64 {
    if weight.is_finite() { weight.into() } else { 0.0 }
}
