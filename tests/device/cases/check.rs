//! Compares the outputs of a case with what is expected, element by element.

use safetensors::SafeTensors;

use super::case::{Array, Case, Result, floats, open};

/// What is wrong with each output of a case. `expected` and `got` are safetensors files.
pub(crate) fn failures(case: &Case<'_>, expected: &[u8], got: &[u8]) -> Vec<String> {
    let (expected, got) = match (open(expected), open(got)) {
        (Ok(expected), Ok(got)) => (expected, got),
        (Err(error), _) | (_, Err(error)) => return vec![error.to_string()],
    };
    let outputs = case.outputs.iter();
    outputs.filter_map(|name| Some(format!("{name}: {}", compare(case, name, &expected, &got).err()?))).collect()
}

fn compare(case: &Case<'_>, name: &str, expected: &SafeTensors<'_>, got: &SafeTensors<'_>) -> Result<()> {
    let source = if matches!(name, "out_mean" | "out_absmean") { "out" } else { name };
    let expected = array(expected, name)?;
    let mut got = array(got, source)?;
    let bound = case.bounds.get(name).ok_or("no bound is given")?;
    if let (Some(rows), "out") = (&case.sample_rows, source) {
        got = sampled(name, rows, &got, case.out_shape())?;
    }
    same_shape(&got, &expected.shape)?;
    let limit = |e: f64| case.naive_mult * bound.naive + bound.atol + bound.rtol * e.abs();
    let mut outside =
        (0..).zip(expected.data.iter().zip(&got.data)).filter(|&(_, (&e, &g))| !agree(e, g, limit(e.into())));
    match outside.next() {
        None => Ok(()),
        Some((i, (&e, g))) => {
            let (count, all, limit) = (1 + outside.count(), got.data.len(), limit(e.into()));
            Err(format!("{count} of {all} are wrong; element {i} is {g}, not {e} within {limit:e}").into())
        }
    }
}

/// Infinities must be the very same; a NaN agrees with nothing.
fn agree(expected: f32, got: f32, limit: f64) -> bool {
    if expected.is_finite() { (f64::from(got) - f64::from(expected)).abs() <= limit } else { got == expected }
}

fn array(file: &SafeTensors<'_>, name: &str) -> Result<Array> {
    let view = file.tensor(name)?;
    Ok(Array { shape: view.shape().to_vec(), data: floats(&view)? })
}

fn same_shape(got: &Array, expected: &[usize]) -> Result<()> {
    if got.shape == expected { Ok(()) } else { Err(format!("shape is {:?}, not {expected:?}", got.shape).into()) }
}

/// What is compared of an output `[batch, heads, rows, dim]` that is too large to be kept whole: some of its rows,
/// or the mean of all of them.
fn sampled(name: &str, rows: &[usize], out: &Array, shape: &[usize]) -> Result<Array> {
    same_shape(out, shape)?;
    let &[batch, heads, len, dim] = shape else { return Err("out has not four dimensions".into()) };
    if out.data.iter().any(|x| x.is_nan()) {
        return Err("there is a NaN".into());
    }
    if let Some(row) = rows.iter().find(|&&row| row >= len) {
        return Err(format!("there is no row {row} in {len}").into());
    }
    let each = out.data.chunks_exact(len * dim);
    let element = |head: &[f32], i: usize, d: usize| f64::from(head[i * dim + d]);
    let mean = |head: &[f32], of: fn(f64) -> f64| -> Vec<f32> {
        (0..dim).map(|d| ((0..len).map(|i| of(element(head, i, d))).sum::<f64>() / len as f64) as f32).collect()
    };
    let (middle, data) = match name {
        "out_mean" => (None, each.flat_map(|head| mean(head, |x| x)).collect()),
        "out_absmean" => (None, each.flat_map(|head| mean(head, f64::abs)).collect()),
        _ => {
            let chosen = |head: &[f32]| rows.iter().flat_map(|i| head[i * dim..][..dim].to_vec()).collect::<Vec<_>>();
            (Some(rows.len()), each.flat_map(chosen).collect())
        }
    };
    Ok(Array { shape: [batch, heads].into_iter().chain(middle).chain([dim]).collect(), data })
}
