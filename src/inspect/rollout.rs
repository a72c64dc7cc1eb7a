//! Attention through the layers of a model.

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
    /// From the first layer on: `[tokens, tokens]`, row by row.
    steps: Vec<Vec<f64>>,
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
            let mut step: Vec<f64> = layer.iter().map(|&w| w.into()).collect();
            for (i, row) in step.chunks_exact_mut(tokens).enumerate() {
                row[i] += 1.0;
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|w| *w /= sum);
            }
            step
        };
        Ok(Self { steps: weights.iter().map(step).collect(), tokens })
    }

    /// Attention rollout: how much each token of the last layer has of each of the input, if what layers pass on is multiplied.
    /// `[tokens, tokens]` row by row; each row sums to 1.
    #[must_use]
    pub fn rollout(&self) -> Vec<f64> {
        let one = (0..self.tokens * self.tokens).map(|at| f64::from(at / self.tokens == at % self.tokens)).collect();
        self.steps.iter().fold(one, |all, step| self.product(step, &all))
    }

    /// The product of two matrices `[tokens, tokens]`.
    fn product(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; a.len()];
        for (out, row) in product.chunks_exact_mut(self.tokens).zip(a.chunks_exact(self.tokens)) {
            for (&weight, other) in row.iter().zip(b.chunks_exact(self.tokens)) {
                out.iter_mut().zip(other).for_each(|(out, &x)| *out += weight * x);
            }
        }
        product
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
                if step[i * self.tokens + j] > 0.0 {
                    pipes.add_edge(node(layer + 1, i), node(layer, j), step[i * self.tokens + j]);
                }
            }
        }
        let top = node(self.steps.len(), token);
        (0..self.tokens)
            .map(|j| if top == node(0, j) { 1.0 } else { ford_fulkerson(&pipes, top, node(0, j)).0 })
            .collect()
    }
}
