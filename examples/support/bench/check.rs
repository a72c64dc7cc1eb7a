//! Whether a result is right: sampled rows against the f64 oracle, and every element written.

use wgpu_attention::{
    Inputs, Shape, Spec, Tensor, View,
    reference::{self, Tolerance},
};

use crate::problem::Problem;

/// Rows compared; each costs the oracle `kv_len * (head_dim + value_dim)` multiply-adds.
const ROWS: u64 = 64;

/// How far a right result is from the oracle, over the sampled rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    /// `|out - oracle| / |oracle|`, Euclidean norms.
    pub(crate) rel_err: f64,
    /// Largest difference of one element.
    pub(crate) max_abs: f64,
}

/// A row of the output.
#[derive(Clone, Copy, Debug)]
struct Place {
    batch: u32,
    head: u32,
    i: u32,
}

/// Compares `out`, which held NaN before the run, with the oracle by the crate's tolerance rule; or says what is wrong.
pub(crate) fn check(problem: &Problem, out: &[f32], seed: u64) -> Result<Errors, String> {
    let (spec, inputs) = (&problem.spec, &problem.inputs());
    if let Some(at) = out.iter().position(|x| !x.is_finite()) {
        return Err(format!("element {at} of out is {}: not written, or not finite", out[at]));
    }
    let places = sample(spec.shape(), seed);
    let (mut actual, mut naive, mut expected) = (vec![], vec![], vec![]);
    for place in &places {
        actual.extend_from_slice(rows(spec, Tensor::Out, out, *place, 1));
        naive.extend(naive_row(problem, inputs, *place));
        expected.extend(reference::row(spec, inputs, place.batch, place.head, place.i).out);
    }
    let compared = Tolerance::of(&expected, &naive).check(&actual, &expected);
    let max_abs = compared.map_err(|mismatch| {
        let dim = spec.shape().value_dim as usize;
        let (row, d) = (mismatch.index / dim, mismatch.index % dim);
        let Place { batch, head, i } = places[row];
        format!("batch {batch}, head {head}, i {i}, d {d}: {mismatch} of {} compared", expected.len())
    })?;
    Ok(Errors { rel_err: distance(&actual, &expected) / norm(&expected), max_abs })
}

/// All rows if they are few; else the first and the last of the first and of the last head, and random ones of heads
/// all over.
fn sample(shape: &Shape, seed: u64) -> Vec<Place> {
    let (q_heads, q_len) = (u64::from(shape.q_heads), u64::from(shape.q_len));
    let heads = u64::from(shape.batch) * q_heads;
    let place =
        |head: u64, i: u64| Place { batch: (head / q_heads) as u32, head: (head % q_heads) as u32, i: i as u32 };
    if heads * q_len <= ROWS {
        return (0..heads * q_len).map(|row| place(row / q_len, row % q_len)).collect();
    }
    let mut rng = fastrand::Rng::with_seed(seed);
    let ends = [place(0, 0), place(0, q_len - 1), place(heads - 1, 0), place(heads - 1, q_len - 1)];
    let spread = |n: u64| if heads < ROWS { n % heads } else { n * heads / ROWS };
    let random = (0..ROWS - ends.len() as u64).map(|n| place(spread(n), rng.u64(..q_len)));
    ends.into_iter().chain(random).collect()
}

/// The naive formula on one row.
fn naive_row(problem: &Problem, inputs: &Inputs<'_>, place: Place) -> Vec<f32> {
    let spec = &problem.spec;
    let shape = spec.shape();
    let keys = Place { head: place.head / (shape.q_heads / shape.kv_heads), i: 0, ..place };
    let one = Inputs::new(
        rows(spec, Tensor::Q, inputs.get_floats(Tensor::Q), place, 1),
        rows(spec, Tensor::K, inputs.get_floats(Tensor::K), keys, shape.kv_len),
        rows(spec, Tensor::V, inputs.get_floats(Tensor::V), keys, shape.kv_len),
    );
    reference::naive(&problem.workload.row(place.i), &one).out
}

/// So many rows of a dense tensor.
fn rows<'a>(spec: &Spec, tensor: Tensor, data: &'a [f32], place: Place, count: u32) -> &'a [f32] {
    let Some(View { layout, sizes, .. }) = spec.view(tensor) else { return &[] };
    let steps = [(place.batch, layout.batch), (place.head, layout.head), (place.i, layout.row)];
    let start: u64 = steps.iter().map(|&(index, stride)| u64::from(index) * stride).sum();
    &data[start as usize..][..(count * sizes[3]) as usize]
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn distance(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum::<f64>().sqrt()
}
