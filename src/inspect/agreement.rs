//! How well weights agree with what a person marked.

/// Weights beside an annotation: which keys a person marked as relevant.
///
/// The weights may be those of a row, or what keys receive from a head ([`Measures::received`](crate::Measures::received)); their scale
/// does not matter. As measures of rationales in DeYoung et al. 2020 (ERASER, section 4).
///
/// ```
/// use wgpu_attention::inspect::Agreement;
/// let agreement = Agreement::of(&[0.4, 0.3, 0.2, 0.1], &[true, false, true, false]).unwrap();
/// assert_eq!(agreement.precision_at(1), 1.0);
/// assert_eq!(agreement.precision_at(2), 0.5);
/// approx::assert_relative_eq!(agreement.mass(), 0.6, max_relative = 1e-6);
/// // Half of what is marked is found at precision 1, all of it at precision 2/3.
/// approx::assert_relative_eq!(agreement.average_precision(), 0.5 * 1.0 + 0.5 * 2.0 / 3.0, max_relative = 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Weight and mark of each key, the largest weight first.
    ranked: Vec<(f32, bool)>,
}

impl Agreement {
    /// Of as many weights as marks; `None` where there are not, where a weight is not a number, or where nothing is marked.
    #[must_use]
    pub fn of(weights: &[f32], marked: &[bool]) -> Option<Self> {
        if weights.len() != marked.len() || !marked.contains(&true) || weights.iter().any(|w| w.is_nan()) {
            return None;
        }
        let mut ranked: Vec<_> = weights.iter().copied().zip(marked.iter().copied()).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        Some(Self { ranked })
    }

    /// The share of all weight that lies on marked keys; 0 where there is no weight.
    #[must_use]
    pub fn mass(&self) -> f64 {
        let sum =
            |marked: bool| self.ranked.iter().filter(|key| key.1 || !marked).map(|key| f64::from(key.0)).sum::<f64>();
        if sum(false) > 0.0 { sum(true) / sum(false) } else { 0.0 }
    }

    /// The share of marked keys among the `k` with the largest weights, or among all if there are fewer. Where equal weights stand on
    /// both sides of place `k`, their marks count by the share of them that is before it.
    #[must_use]
    pub fn precision_at(&self, k: usize) -> f64 {
        let k = k.clamp(1, self.ranked.len());
        let mut found = 0.0;
        for (start, end, marked) in self.ties() {
            let before = k.clamp(start, end) - start;
            found += marked as f64 * before as f64 / (end - start) as f64;
        }
        found / k as f64
    }

    /// The area under the curve of precision over recall, by steps: the mean, over the marked keys, of the precision where each is
    /// found. Keys of equal weight are found together.
    #[must_use]
    pub fn average_precision(&self) -> f64 {
        let all = self.ranked.iter().filter(|key| key.1).count();
        let (mut found, mut area) = (0, 0.0);
        for (_, end, marked) in self.ties() {
            found += marked;
            area += marked as f64 / all as f64 * found as f64 / end as f64;
        }
        area
    }

    /// Runs of equal weights: first place, one past the last, how many are marked.
    fn ties(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let mut start = 0;
        self.ranked.chunk_by(|a, b| a.0 == b.0).map(move |run| {
            let first = start;
            start += run.len();
            (first, start, run.iter().filter(|key| key.1).count())
        })
    }
}
