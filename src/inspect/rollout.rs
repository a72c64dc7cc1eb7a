//! Attention through the layers of a model.

use nalgebra::DMatrix;
use petgraph::{
    algo::ford_fulkerson,
    graph::{DiGraph, NodeIndex},
};

use crate::error::Error;

/// The weights of a model's layers, one head or a mean over heads of each, through which tokens look at those of the input.
///
/// A layer passes on half of what it attends to and half of what it had, as residual connections do: `(weights + 1) / 2`, each row
/// divided by its sum (Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3).
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// From the first layer on: `[tokens, tokens]`.
    steps: Vec<DMatrix<f64>>,
    tokens: usize,
}

impl Rollout {
    /// Rollout of `weights [tokens, tokens]` each, row by row, the first layer first. Refused: another number of weights, no tokens.
    ///
    /// ```
    /// use wgpu_attention::inspect::Rollout;
    /// // In both layers, each of two tokens looks at the first.
    /// let layers = Rollout::new(2, &[&[1.0, 0.0, 1.0, 0.0], &[1.0, 0.0, 1.0, 0.0]])?;
    /// assert_eq!(layers.rollout(), [1.0, 0.0, 0.75, 0.25]);
    /// # Ok::<(), wgpu_attention::Error>(())
    /// ```
    pub fn new(tokens: usize, weights: &[&[f32]]) -> Result<Self, Error> {
        if tokens == 0 {
            return Err(Error::Zero { name: "tokens" });
        }
        let needs = tokens.saturating_mul(tokens);
        if let Some(layer) = weights.iter().find(|layer| layer.len() != needs) {
            return Err(Error::Input { name: "weights", got: layer.len(), needs });
        }
        let step = |layer: &&[f32]| {
            let mut step = DMatrix::from_row_iterator(tokens, tokens, layer.iter().map(|&w| f64::from(w)));
            step += DMatrix::identity(tokens, tokens);
            for mut row in step.row_iter_mut() {
                let sum = row.sum();
                row /= sum;
            }
            step
        };
        Ok(Self { steps: weights.iter().map(step).collect(), tokens })
    }

    /// Attention rollout: how much each token of the last layer has of each of the input, if what layers pass on is multiplied.
    /// `[tokens, tokens]` row by row; each row sums to 1.
    #[must_use]
    pub fn rollout(&self) -> Vec<f64> {
        let one = DMatrix::identity(self.tokens, self.tokens);
        let all = self.steps.iter().fold(one, |all, step| step * all);
        // Stored by columns.
        all.transpose().as_slice().to_vec()
    }

    /// Attention flow: how much one token of the last layer can have of each of the input, if what layers pass on are capacities
    /// of pipes: the largest flow between the two. `[tokens]`.
    ///
    /// Each is a problem of its own over all layers: for sentences, not for books.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    #[must_use]
    pub fn flow(&self, token: usize) -> Vec<f64> {
        assert!(token < self.tokens, "token {token} of {}", self.tokens);
        let node = |layer: usize, token: usize| NodeIndex::new(layer * self.tokens + token);
        let mut pipes = DiGraph::<(), f64>::new();
        for _ in 0..(self.steps.len() + 1) * self.tokens {
            pipes.add_node(());
        }
        for (layer, step) in self.steps.iter().enumerate() {
            for (i, j) in (0..self.tokens).flat_map(|i| (0..self.tokens).map(move |j| (i, j))) {
                if step[(i, j)] > 0.0 {
                    pipes.add_edge(node(layer + 1, i), node(layer, j), step[(i, j)]);
                }
            }
        }
        let top = node(self.steps.len(), token);
        (0..self.tokens)
            .map(|j| if top == node(0, j) { 1.0 } else { ford_fulkerson(&pipes, top, node(0, j)).0 })
            .collect()
    }
}
