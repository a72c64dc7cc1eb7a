//! Measures of attention weights, from all weights in memory.

use crate::{
    problem::{
        Problem,
        measures::{MapOf, Measures, Pool, ROW_MEASURES},
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        attention::exact,
        formula::Sum,
        margin::{Margin, Wrong, check_kinds},
        naive::naive_by,
        operands::Operands,
        real::Real,
        stored::blank,
        tolerance::Mismatch,
    },
    tensor::Tensor,
};

/// [`Measures`] in `f64`. Stores the weights, so it is for small problems.
///
/// # Panics
///
/// If the problem's check or [`Inputs::check`] refuses.
///
/// ```
/// use wgpu_attention::{Inputs, Measures, Shape, Spec, reference};
/// let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 2, head_dim: 1, value_dim: 1 };
/// // The weights are 1/4 and 3/4.
/// let inputs = Inputs::without_values(&[1.0], &[0.0, 1.0986123]);
/// let measures = Measures::of(&Spec::new(shape)).rows().top(1);
/// let outputs = reference::measures(&measures, &inputs);
/// let [entropy, largest, distance, sum, ..] = outputs.row_measures().unwrap()[..] else { panic!() };
/// approx::assert_relative_eq!(entropy, 2.0 * 2f64.ln() - 0.75 * 3f64.ln(), max_relative = 1e-6);
/// approx::assert_relative_eq!(largest, 0.75, max_relative = 1e-6);
/// approx::assert_relative_eq!(distance, 0.75, max_relative = 1e-6);
/// approx::assert_relative_eq!(sum, 1.0, max_relative = 1e-6);
/// assert_eq!(outputs.top_keys().unwrap(), [1]);
/// ```
#[must_use]
pub fn measures(measures: &Measures, inputs: &Inputs<'_>) -> Outputs<f64> {
    accept(measures, inputs);
    let operands = Operands::new::<f64>(measures.spec(), inputs);
    let weights = exact(&operands).take(Tensor::Weights).unwrap_or_default();
    from_weights(measures, &operands, inputs, &weights, Sum::Forwards)
}

/// The measures of weights `[batch, heads, rows, kv_len]`.
fn from_weights<T: Real>(
    measures: &Measures,
    operands: &Operands<'_>,
    inputs: &Inputs<'_>,
    weights: &[T],
    order: Sum,
) -> Outputs<T> {
    let mut outputs = blank(Problem::from(measures).views());
    let mut top_keys = outputs.get(Tensor::TopWeights).map(|weights| vec![u32::MAX; weights.len()]);
    let [heads, rows] = measures.spec().only_or_all();
    let (batch, kv_len) = (measures.spec().shape().batch, measures.spec().shape().kv_len as usize);
    let all = (0..batch).flat_map(|b| {
        let rows = rows.clone();
        heads.clone().flat_map(move |h| rows.clone().map(move |i| (b, h, i)))
    });
    let all: Vec<_> = order.of(all.enumerate());
    for (n, (b, h, i)) in all {
        let Some(query) = operands.query((b, h, i)) else { continue };
        let row = &weights[n * kv_len..][..kv_len];
        let seen = order.of(query.seen().map(|j| j as usize));
        if let Some(all) = outputs.get_mut(Tensor::RowMeasures) {
            let width = (ROW_MEASURES + measures.ranges) as usize;
            let ranges = inputs.get_words(Tensor::Ranges).chunks_exact(2);
            let ahead = |j| query.ahead(j as u32);
            measure_row(&mut all[n * width..][..width], row, (&seen, query.item.keys.start), ahead, ranges);
        }
        if let (Some(top_weights), Some(top_keys)) = (outputs.get_mut(Tensor::TopWeights), &mut top_keys) {
            let k = measures.top as usize;
            let mut best = seen.clone();
            best.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b)));
            for (place, j) in best.into_iter().take(k).enumerate() {
                top_weights[n * k + place] = row[j];
                top_keys[n * k + place] = j as u32;
            }
        }
        let head = (h - heads.start) as usize;
        if let Some(received) = outputs.get_mut(Tensor::Received) {
            let start = (b as usize * heads.len() + head) * kv_len;
            seen.iter().for_each(|&j| received[start + j] += row[j]);
        }
        if let (Some(all), Some(map), Some(cell), Some(view)) =
            (outputs.get_mut(Tensor::Map), measures.map, measures.cell(), measures.view(Tensor::Map))
        {
            let [_, maps, height, width] = view.sizes.map(|size| size as usize);
            let one = map.of == MapOf::AllHeads;
            let (own, share) = if one { (0, T::from(heads.len() as f32)) } else { (head, T::from(1.0)) };
            let r = ((i - rows.start) / cell[0]) as usize;
            let start = ((b as usize * maps + own) * height + r) * width;
            for &j in &seen {
                let x = &mut all[start + j / cell[1] as usize];
                match map.pool {
                    Pool::Sum => *x += row[j] / share,
                    Pool::Max => *x = x.max(row[j]),
                }
            }
        }
    }
    if let Some(top_keys) = top_keys {
        outputs.set_words(Tensor::TopKeys, top_keys);
    }
    outputs
}

fn measure_row<'a, T: Real>(
    measures: &mut [T],
    row: &[T],
    (seen, first): (&[usize], u32),
    ahead: impl Fn(usize) -> i64,
    ranges: impl Iterator<Item = &'a [u32]>,
) {
    for &j in seen {
        let w = row[j];
        if w > T::default() {
            measures[0] = measures[0] - w * w.ln();
        }
        measures[1] = measures[1].max(w);
        measures[2] += w * T::of_integer(ahead(j).abs());
        measures[3] += w;
        for (n, counts) in [(4, ahead(j) == 0), (5, ahead(j) == 1), (6, j as u32 == first)] {
            measures[n] += if counts { w } else { T::default() };
        }
    }
    for (x, range) in measures[ROW_MEASURES as usize..].iter_mut().zip(ranges) {
        let inside = seen.iter().filter(|&&j| (range[0]..range[1]).contains(&(j as u32)));
        *x = inside.map(|&j| row[j]).sum();
    }
}

/// Compares every measure with the oracle; each number of a row has a tolerance of its own.
pub(super) fn check_measures(
    measures: &Measures,
    inputs: &Inputs<'_>,
    outputs: &Outputs<f32>,
) -> Result<Vec<Margin>, Wrong> {
    let operands = Operands::new::<f64>(measures.spec(), inputs);
    let weights = exact(&operands).take(Tensor::Weights).unwrap_or_default();
    let oracle = from_weights(measures, &operands, inputs, &weights, Sum::Forwards);
    let naive = [Sum::Forwards, Sum::Backwards].map(|order| {
        let weights = naive_by(&operands, order).take(Tensor::Weights).unwrap_or_default();
        from_weights(measures, &operands, inputs, &weights, order)
    });
    let mut margins = Vec::new();
    for tensor in [Tensor::RowMeasures, Tensor::TopWeights, Tensor::Received, Tensor::Map] {
        if oracle.get(tensor).is_some() {
            let kinds = if tensor == Tensor::RowMeasures { (ROW_MEASURES + measures.ranges) as usize } else { 1 };
            margins.extend(check_kinds((tensor, kinds), outputs, &oracle, &naive, 0.0)?);
        }
    }
    if let Some(margin) = margins.iter().find(|margin| margin.tensor == Tensor::TopWeights) {
        check_keys(measures, outputs, &oracle, &weights, margin.limit)?;
    }
    Ok(margins)
}

const fn nothing() -> Mismatch {
    Mismatch { index: 0, actual: f64::NAN, expected: f64::NAN, limit: 0.0, outside: 0 }
}

/// Weights that are equal but for rounding may stand in either order: a key is right if its weight is that of its place, and stands
/// once.
fn check_keys(
    measures: &Measures,
    outputs: &Outputs<f32>,
    oracle: &Outputs<f64>,
    weights: &[f64],
    limit: f64,
) -> Result<(), Wrong> {
    let (k, kv_len) = (measures.top as usize, measures.spec().shape().kv_len as usize);
    let keys = outputs.top_keys().unwrap_or_default();
    let (Some(expected), Some(places)) = (oracle.top_keys(), oracle.top_weights()) else { return Ok(()) };
    let wrong = |index: usize, actual: u32| Wrong {
        tensor: Tensor::TopKeys,
        mismatch: Mismatch { index, actual: actual.into(), expected: expected[index].into(), limit, outside: 1 },
    };
    if keys.len() != expected.len() {
        return Err(Wrong { tensor: Tensor::TopKeys, mismatch: nothing() });
    }
    for (index, &key) in keys.iter().enumerate() {
        let row = index / k;
        let again = keys[row * k..index].contains(&key);
        let right = match (key, expected[index]) {
            (u32::MAX, u32::MAX) => true,
            (u32::MAX, _) | (_, u32::MAX) => false,
            _ => {
                let weight = weights[row * kv_len..][..kv_len].get(key as usize);
                weight.is_some_and(|weight| (weight - places[index]).abs() <= limit) && !again
            }
        };
        if !right {
            return Err(wrong(index, key));
        }
    }
    Ok(())
}
