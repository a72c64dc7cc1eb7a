//! Holds all outputs of a problem to their tolerances.

use crate::{
    problem::{
        Problem,
        attention::spec::Spec,
        values::{Inputs, Outputs},
    },
    reference::{
        accept::accept,
        attention::exact,
        divergence::compared,
        embed::{embedded, naive_embed},
        formula::Sum,
        linear::{layer, naive_linear},
        locate::{located, naive_locate},
        margin::{Margin, Wrong, check_kinds},
        measures::check_measures,
        merge::{merged, naive_merge},
        naive::naive_by,
        norm::{naive_norm, normalised},
        operands::Operands,
        rope::{naive_rope, turned},
        stored::Stored,
        tolerance::{Tolerance, error, largest},
    },
    tensor::{Tensor, view::View},
};

/// The tolerance of every output of attention, `oracle` being what [`attention`](super::attention) says of it.
///
/// A few numbers may come out of one summation with no error at all, by luck. So the naive error is the larger of two, summed
/// forwards and backwards, and the floor of out and lse counts the terms of their sums, not what is left when they cancel. Of 12,000
/// right results of problems with at most 40 keys, one order and the plain floor refused 82, this none.
///
/// # Panics
///
/// If [`Spec::check`] or [`Inputs::check`] refuses.
#[must_use]
pub fn tolerances(spec: &Spec, inputs: &Inputs<'_>, oracle: &Outputs<f64>) -> Vec<(Tensor, Tolerance)> {
    accept(spec, inputs);
    let operands = Operands::new::<f32>(spec, inputs);
    let others = limits(oracle, spec.views(), |sum| naive_by(&operands, sum));
    cache_limits(&operands).into_iter().chain(others).collect()
}

/// The tolerances of all outputs but caches, by the formula in f32.
fn limits(
    oracle: &Outputs<f64>,
    views: impl Iterator<Item = View>,
    naive: impl Fn(Sum) -> Outputs<f32>,
) -> Vec<(Tensor, Tolerance)> {
    let [forwards, backwards, terms] = [Sum::Forwards, Sum::Backwards, Sum::Magnitudes].map(naive);
    let limit = |view: View| {
        let expected = oracle.get(view.tensor)?;
        let naive_error = |naive: &Outputs<f32>| naive.get(view.tensor).map_or(0.0, |naive| error(expected, naive));
        let magnitude = match view.tensor {
            Tensor::Out | Tensor::Lse => largest(terms.get(view.tensor)?.iter().map(|&x| x.abs().into())),
            _ => largest(expected.iter().map(|e| e.abs())),
        };
        let naive_error = naive_error(&forwards).max(naive_error(&backwards));
        Some((view.tensor, Tolerance::from(naive_error, view.dtype, magnitude)))
    };
    views.filter(|view| view.is_output() && !view.is_input()).filter_map(limit).collect()
}

/// The tolerances of the caches after an append: what is copied is exact, and keys that are turned have a floor.
fn cache_limits(operands: &Operands<'_>) -> Vec<(Tensor, Tolerance)> {
    let turned = if operands.is_turned() { operands.appended().flatten().collect() } else { vec![] };
    let magnitude = largest(turned.into_iter().map(|&x| x.abs().into()));
    let limit = |cache: &Stored<'_, f32>| {
        let magnitude = if cache.view.tensor == Tensor::K { magnitude } else { 0.0 };
        (cache.view.tensor, Tolerance::of_cache(cache.view.dtype, magnitude))
    };
    operands.caches().into_iter().flatten().map(limit).collect()
}

/// Compares every output that the problem asks for with the oracle; an output that is absent is wrong.
///
/// A key that is turned and then appended may round either way. So caches are compared first, and then the oracle scores the
/// keys that were written.
///
/// # Panics
///
/// If [`Problem::check`] or [`Inputs::check`] refuses.
pub fn check(problem: impl Into<Problem>, inputs: &Inputs<'_>, outputs: &Outputs<f32>) -> Result<Vec<Margin>, Wrong> {
    let problem = problem.into();
    accept(&problem, inputs);
    let (oracle, naive): (_, Box<dyn Fn(Sum) -> Outputs<f32>>) = match &problem {
        Problem::Attention(spec) => return check_attention(spec, inputs, outputs),
        Problem::Measures(measures) => return check_measures(measures, inputs, outputs),
        Problem::Divergence(divergence) => {
            let oracle = compared(divergence, inputs, Sum::Forwards);
            let naive = [Sum::Forwards, Sum::Backwards].map(|order| compared(divergence, inputs, order));
            // Shares of rows that are each rounded differ by two roundings, whose divergence is this.
            let least = f64::from(f32::EPSILON);
            return check_kinds((Tensor::Divergence, 2), outputs, &oracle, &naive, least);
        }
        Problem::Rope(rope) => (Outputs::of(turned(rope, inputs)), Box::new(|_| naive_rope(rope, inputs))),
        Problem::Locate(locate) => {
            let oracle = Outputs::of(located(locate, inputs, Sum::Forwards));
            (oracle, Box::new(|sum| naive_locate(locate, inputs, sum)))
        }
        Problem::Merge(merge) => {
            (merged(merge, inputs, Sum::Forwards), Box::new(|sum| naive_merge(merge, inputs, sum)))
        }
        Problem::Linear(linear) => {
            let out = layer(linear, inputs, Sum::Forwards);
            (Outputs::of(out), Box::new(|sum| naive_linear(linear, inputs, sum)))
        }
        Problem::Norm(norm) => {
            let out = normalised(norm, inputs, Sum::Forwards);
            (Outputs::of(out), Box::new(|sum| naive_norm(norm, inputs, sum)))
        }
        Problem::Embed(embed) => {
            let out = embedded(embed, inputs, Sum::Forwards);
            (Outputs::of(out), Box::new(|sum| naive_embed(embed, inputs, sum)))
        }
    };
    compare(&limits(&oracle, problem.views(), naive), outputs, &oracle)
}

fn check_attention(spec: &Spec, inputs: &Inputs<'_>, outputs: &Outputs<f32>) -> Result<Vec<Margin>, Wrong> {
    let (mut operands, mut naive) = (Operands::new::<f64>(spec, inputs), Operands::new::<f32>(spec, inputs));
    let mut caches = Outputs::default();
    for (cache, data) in operands.grown() {
        caches.set(cache, data);
    }
    let mut margins = compare(&cache_limits(&operands), outputs, &caches)?;
    if let Some(keys) = outputs.k().filter(|_| operands.is_turned()) {
        (operands, naive) = (operands.over(keys), naive.over(keys));
    }
    let oracle = exact(&operands);
    margins.extend(compare(&limits(&oracle, spec.views(), |sum| naive_by(&naive, sum)), outputs, &oracle)?);
    Ok(margins)
}

fn compare(
    limits: &[(Tensor, Tolerance)],
    outputs: &Outputs<f32>,
    oracle: &Outputs<f64>,
) -> Result<Vec<Margin>, Wrong> {
    let compare = |&(tensor, limit): &(_, Tolerance)| {
        let (actual, expected) = (outputs.get(tensor).unwrap_or_default(), oracle.get(tensor).unwrap_or_default());
        match limit.check(actual, expected) {
            Ok(error) => Ok(Margin { tensor, error, limit: limit.limit() }),
            Err(mismatch) => Err(Wrong { tensor, mismatch }),
        }
    };
    limits.iter().map(compare).collect()
}
