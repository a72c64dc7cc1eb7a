//! The score of a query and a key, and which keys a query sees. Written once, for every number type.

use crate::{
    problem::attention::shape::ScoreStage,
    reference::{operands::Query, real::Real},
};

impl Query<'_> {
    /// The keys that it sees.
    pub(super) fn seen(&self) -> impl Iterator<Item = u32> {
        self.item.keys.clone().filter(|&j| self.sees(j))
    }

    /// Whether it sees key `j`, which is one of its item.
    pub(super) fn sees(&self, j: u32) -> bool {
        let (spec, item) = (self.operands.spec, self.item);
        let by_mask = spec.mask.sees(item.offset, self.i - item.queries.start, j - item.keys.start);
        let by_keep = self.keep.is_none_or(|keep| keep.get(j as usize) == Some(&true));
        let by_bias = self.bias.is_none_or(|bias| bias.get(j as usize).is_some_and(|&x| x != f32::NEG_INFINITY));
        let by_block = spec.block_mask.is_none_or(|form| form.sees(self.operands.block_mask, self.head, (self.i, j)));
        let by_grid = spec.grid.is_none_or(|grid| {
            let [rows, columns] = grid.near(self.i);
            rows.contains(&(j / grid.columns)) && columns.contains(&(j % grid.columns))
        });
        by_mask && by_keep && by_bias && by_block && by_grid
    }

    /// What each element adds to the score of key `j` before the scale: to a product, or to an additive score.
    pub(super) fn terms<T: Real>(&self, j: u32) -> Vec<T> {
        let pairs = self.q.iter().zip(self.key(j)).map(|(&q, &k)| (T::from(q), T::from(k)));
        match self.weights {
            None => pairs.map(|(q, k)| q * k).collect(),
            Some(weights) => pairs.zip(weights).map(|((q, k), &w)| T::from(w) * (q + k).tanh()).collect(),
        }
    }

    /// The score of key `j` after a stage, `product` being the sum of its terms. What hides the key does not change it.
    pub(super) fn score<T: Real>(&self, stage: ScoreStage, j: u32, product: T) -> T {
        let spec = self.operands.spec;
        let scaled = self.factor::<T>() * product;
        if stage == ScoreStage::Scaled {
            return scaled;
        }
        let capped = spec.softcap.map_or(scaled, |cap| T::from(cap.get()) * (scaled / cap.get().into()).tanh());
        if stage == ScoreStage::Capped {
            return capped;
        }
        let biased = self.bias.map_or(capped, |bias| capped + bias[j as usize].into());
        let near = self.slope.map_or(biased, |slope| biased - T::from(slope) * T::of_integer(self.distance(j)));
        self.grid_bias(j).map_or(near, |bias| near + bias.into())
    }

    /// What the product is multiplied by: the scale, and the factor of the head where it has one.
    pub(super) fn factor<T: Real>(&self) -> T {
        self.head_scale.map_or(self.scale.into(), |head| T::from(self.scale) * head.into())
    }

    /// How far a key is from where the query stands.
    pub(super) fn distance(&self, j: u32) -> i64 {
        self.ahead(j).abs()
    }

    /// How far the query stands ahead of a key.
    pub(super) fn ahead(&self, j: u32) -> i64 {
        let (i, j) = (self.i - self.item.queries.start, j - self.item.keys.start);
        i64::from(i) + self.item.offset - i64::from(j)
    }

    /// The scores of all keys after a stage; -inf for those that do not exist and, after the last, for those not seen.
    pub(super) fn scores<T: Real>(&self, stage: ScoreStage, sum: impl Fn(Vec<T>) -> T) -> Vec<T> {
        let shown = |&j: &u32| stage != ScoreStage::Masked || self.sees(j);
        let mut scores = vec![T::NEG_INFINITY; self.operands.spec.shape().kv_len as usize];
        for j in self.item.keys.clone().filter(shown) {
            scores[j as usize] = self.score(stage, j, sum(self.terms(j)));
        }
        scores
    }
}
