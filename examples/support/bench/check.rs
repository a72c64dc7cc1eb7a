//! Whether a result is right: sampled rows against the f64 oracle, and every element written.

use wgpu_attention::{
    Data, Inputs, Outputs, Problem, Spec, Tensor, View,
    reference::{self, Tolerance},
};

use crate::problem::Held;

/// Rows compared; each costs the oracle `kv_len * (head_dim + value_dim)` multiply-adds, or `inputs * outputs`.
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
pub(crate) fn check(held: &Held, out: &[f32], seed: u64) -> Result<Errors, String> {
    if let Some(at) = out.iter().position(|x| !x.is_finite()) {
        return Err(format!("element {at} of out is {}: not written, or not finite", out[at]));
    }
    let Some(view) = held.problem.view(Tensor::Out) else { return Err("there is no out".into()) };
    let places = sample(view.sizes, seed);
    let actual: Vec<f32> = places.iter().flat_map(|&place| rows(&view, out, place, 1)).copied().collect();
    let compared = match &held.problem {
        Problem::Attention(spec) => attention(held, spec, &places, &actual),
        _ => layer(held, &places, &actual),
    };
    let (expected, max_abs) = compared.map_err(|(index, because)| {
        let (row, d) = (index / view.sizes[3] as usize, index % view.sizes[3] as usize);
        let Place { batch, head, i } = places[row];
        format!("batch {batch}, head {head}, i {i}, d {d}: {because}, of {} compared", actual.len())
    })?;
    Ok(Errors { rel_err: distance(&actual, &expected) / norm(&expected), max_abs })
}

/// What the oracle says of the sampled rows, and the largest difference; or which element is wrong, and how.
type Compared = Result<(Vec<f64>, f64), (usize, String)>;

fn attention(held: &Held, spec: &Spec, places: &[Place], actual: &[f32]) -> Compared {
    let inputs = &held.inputs();
    let (mut naive, mut expected) = (vec![], vec![]);
    for place in places {
        naive.extend(naive_row(held, spec, inputs, *place));
        expected.extend(reference::row(spec, inputs, place.batch, place.head, place.i).out);
    }
    match Tolerance::of(&expected, &naive).check(actual, &expected) {
        Ok(largest) => Ok((expected, largest)),
        Err(mismatch) => Err((mismatch.index, mismatch.to_string())),
    }
}

/// The sampled rows of a layer are a layer of so many rows.
fn layer(held: &Held, places: &[Place], actual: &[f32]) -> Compared {
    let (all, problem) = (held.inputs(), held.workload.first_rows(places.len() as u32));
    let sampled = [Tensor::X, Tensor::Residual].map(|tensor| {
        let view = held.problem.view(tensor)?;
        let rows = places.iter().flat_map(|&place| rows(&view, all.get_floats(tensor), place, 1));
        Some((tensor, rows.copied().collect::<Vec<_>>()))
    });
    let inputs = sampled.iter().flatten().fold(all, |inputs, (tensor, rows)| inputs.set(*tensor, Data::Floats(rows)));
    let expected = match &problem {
        Problem::Linear(linear) => reference::linear(linear, &inputs),
        Problem::Norm(norm) => reference::norm(norm, &inputs),
        other => return Err((0, format!("there is no check of {other:?}"))),
    };
    match reference::check(&problem, &inputs, &Outputs::of(actual.to_vec())) {
        Ok(margins) => Ok((expected, margins.iter().map(|margin| margin.error).fold(0.0, f64::max))),
        Err(wrong) => Err((wrong.mismatch.index, wrong.to_string())),
    }
}

/// All rows if they are few; else the first and the last of the first and of the last head, and random ones of heads
/// all over.
fn sample([batch, heads, len, _]: [u32; 4], seed: u64) -> Vec<Place> {
    let (q_heads, q_len) = (u64::from(heads), u64::from(len));
    let heads = u64::from(batch) * q_heads;
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
fn naive_row(held: &Held, spec: &Spec, inputs: &Inputs<'_>, place: Place) -> Vec<f32> {
    let (shape, Some(one)) = (spec.shape(), held.workload.query(place.i)) else { return vec![] };
    let keys = Place { head: place.head / (shape.q_heads / shape.kv_heads), i: 0, ..place };
    let of = |tensor, place, count| match spec.view(tensor) {
        Some(view) => rows(&view, inputs.get_floats(tensor), place, count),
        None => &[],
    };
    let [k, v] = [Tensor::K, Tensor::V].map(|tensor| of(tensor, keys, shape.kv_len));
    reference::naive(&one, &Inputs::new(of(Tensor::Q, place, 1), k, v)).out().to_vec()
}

/// So many rows of a dense tensor.
fn rows<'a>(view: &View, data: &'a [f32], place: Place, count: u32) -> &'a [f32] {
    let View { layout, sizes, .. } = view;
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
