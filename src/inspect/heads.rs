//! Measures of rows averaged over a head.

use crate::{
    problem::{
        measures::{Measures, ROW_MEASURES},
        values::Outputs,
    },
    tensor::Tensor,
};

/// Means over the rows of a head that see a key, as numbers and not as labels: a head that mostly looks at the token before has a
/// high `previous`, a broad one a high `entropy`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// Batch item.
    pub batch: u32,
    /// Query head.
    pub head: u32,
    /// Rows that see a key.
    pub rows: u32,
    /// Entropy in nats.
    pub entropy: f64,
    /// The same as a share of the largest that the number of keys allows, `ln kv_len`.
    pub broadness: f64,
    /// Largest weight.
    pub largest: f64,
    /// Distance of keys from where the query stands.
    pub distance: f64,
    /// Sum of the weights: 1, but for sinks.
    pub sum: f64,
    /// Weight on the key where the query stands: the diagonal.
    pub own: f64,
    /// Weight on the key before that.
    pub previous: f64,
    /// Weight on the first key.
    pub first: f64,
    /// Weight inside each range.
    pub ranges: Vec<f64>,
}

/// What each measure of [`Head::named`] says, for a reader of a page; all are means over the queries of a head.
#[cfg(feature = "plot")]
pub(crate) const MEANINGS: [(&str, &str); 8] = [
    ("entropy", "How widely a query spreads its weights, in nats: 0 if it looks at one key alone."),
    ("broadness", "The entropy as a share of the largest possible: 0 is one key alone, 1 is all keys alike."),
    ("largest", "The largest weight that a query gives to a key."),
    ("distance", "How many tokens away the keys are that a query looks at, on average by weight."),
    ("sum", "The sum of a query's weights: 1, or less where a sink takes a share."),
    ("own", "The weight on the key in the query's own place: the diagonal of the map."),
    ("previous", "The weight on the key just before that place."),
    ("first", "The weight on the first key, where many heads look when nothing else fits."),
];

impl Head {
    /// The means by name, those over ranges aside.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, f64); 8] {
        [
            ("entropy", self.entropy),
            ("broadness", self.broadness),
            ("largest", self.largest),
            ("distance", self.distance),
            ("sum", self.sum),
            ("own", self.own),
            ("previous", self.previous),
            ("first", self.first),
        ]
    }
}

/// The heads of measured rows, batch items outermost; none where rows were not measured.
///
/// ```
/// use wgpu_attention::{Inputs, Measures, Shape, Spec, inspect, reference};
/// let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 2, kv_len: 2, head_dim: 1, value_dim: 1 };
/// let measures = Measures::of(&Spec::new(shape)).rows();
/// // All scores are 0: each of two keys gets a half.
/// let outputs = reference::measures(&measures, &Inputs::without_values(&[0.0; 2], &[0.0; 2]));
/// let heads = inspect::heads(&measures, &outputs);
/// approx::assert_relative_eq!(heads[0].broadness, 1.0, max_relative = 1e-6);
/// approx::assert_relative_eq!(heads[0].first, 0.5, max_relative = 1e-6);
/// approx::assert_relative_eq!(heads[0].previous, 0.25, max_relative = 1e-6);
/// ```
#[must_use]
pub fn heads<T: Copy + Into<f64>>(measures: &Measures, outputs: &Outputs<T>) -> Vec<Head> {
    let (Some(all), Some(view)) = (rows_of(measures, outputs), measures.view(Tensor::RowMeasures)) else {
        return Vec::new();
    };
    let [_, heads, _, width] = view.sizes;
    let first = measures.spec().only_or_all()[0].start;
    let of = |(n, rows): (u32, Vec<Vec<f64>>)| {
        let rows: Vec<_> = rows.into_iter().filter(|row| row[3] > 0.0).collect();
        let mean = |e: usize| rows.iter().map(|row| row[e]).sum::<f64>() / (rows.len().max(1)) as f64;
        let keys = f64::from(measures.spec().shape().kv_len.max(2));
        Head {
            batch: n / heads,
            head: first + n % heads,
            rows: rows.len() as u32,
            entropy: mean(0),
            broadness: mean(0) / keys.ln(),
            largest: mean(1),
            distance: mean(2),
            sum: mean(3),
            own: mean(4),
            previous: mean(5),
            first: mean(6),
            ranges: (ROW_MEASURES as usize..width as usize).map(mean).collect(),
        }
    };
    (0..).zip(all).map(of).collect()
}

/// The measures of each row of each head, batch items outermost; `None` where rows were not measured.
pub(super) fn rows_of<T: Copy + Into<f64>>(measures: &Measures, outputs: &Outputs<T>) -> Option<Vec<Vec<Vec<f64>>>> {
    let (view, rows) = (measures.view(Tensor::RowMeasures)?, outputs.row_measures()?);
    let [_, _, len, width] = view.sizes.map(|size| size as usize);
    let needs = view.sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size as usize))?;
    if needs == 0 || rows.len() != needs {
        return None; // of other measures
    }
    let of_head = |rows: &[T]| rows.chunks(width).map(|row| row.iter().map(|&x| x.into()).collect()).collect();
    Some(rows.chunks(len * width).map(of_head).collect())
}
