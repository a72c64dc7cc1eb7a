//! Measures of attention weights against their oracle: every kind of mask, grouped heads, packed sequences, cut problems.

use wgpu_attention::{
    Align, Data, Error, Gpu, Inputs, Layout, MapOf, Mask, Measures, Pool, Problem, Shape, Spec, Tensor, reference, wgpu,
};

use crate::{
    features::draw,
    support::{Case, Failures, text},
};

/// Random measures of a random combination of features; `None` where it appends.
fn drawn(n: u64) -> Option<(Measures, Case, Vec<u32>)> {
    let spec = draw(n).spec;
    let mut rng = fastrand::Rng::with_seed(n ^ 0x5eed);
    spec.view(Tensor::NewK).is_none().then_some(())?;
    let shape = *spec.shape();
    let mut measures = Measures::of(&spec);
    let ranges = rng.u32(..4);
    match rng.u32(..4) {
        0 => measures = measures.rows(),
        1 => measures = measures.ranges(ranges),
        _ => {}
    }
    if rng.bool() {
        measures = measures.top(rng.u32(1..=shape.kv_len.min(64)));
    }
    if rng.bool() {
        measures = measures.received();
    }
    if rng.bool() || Problem::from(&measures).check().is_err() {
        let rows = measures.spec().view(Tensor::Weights).map_or(shape.q_len, |view| view.sizes[2]);
        let pool = if rng.bool() { Pool::Sum } else { Pool::Max };
        let of = if rng.bool() { MapOf::EachHead } else { MapOf::AllHeads };
        measures = measures.map(rng.u32(1..=rows), rng.u32(1..=shape.kv_len), pool, of);
    }
    let count = Problem::from(&measures).view(Tensor::Ranges).map_or(0, |view| view.sizes[2]);
    let ranges = (0..count).flat_map(|_| [rng.u32(..shape.kv_len), rng.u32(..=shape.kv_len)]).collect();
    Some((measures, Case::random(spec, n), ranges))
}

/// All inputs but values.
pub(crate) fn inputs<'a>(case: &'a Case, ranges: &'a [u32]) -> Inputs<'a> {
    let all = case.inputs();
    let read = Tensor::ALL.into_iter().filter(|&tensor| tensor != Tensor::V);
    let given = read.filter_map(|tensor| Some((tensor, all.get(tensor)?)));
    let inputs = given.fold(Inputs::default(), |inputs, (tensor, data)| inputs.set(tensor, data));
    if ranges.is_empty() { inputs } else { inputs.set(Tensor::Ranges, Data::Words(ranges)) }
}

/// A device with no optional feature that binds so little that most problems are cut.
pub(crate) fn small() -> Gpu {
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: 8192, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let made = pollster::block_on(async {
        let adapter = Gpu::adapter(wgpu::PowerPreference::HighPerformance).await.map_err(text)?;
        adapter.request_device(&descriptor).await.map_err(|error| error.to_string())
    });
    let (device, queue) = made.unwrap_or_else(|error| panic!("{error}"));
    Gpu::from_device(device, queue)
}

fn verdict(gpu: &Gpu, measures: &Measures, inputs: &Inputs<'_>) -> Result<(), String> {
    let outputs = gpu.run(measures, inputs).map_err(text)?;
    reference::check(measures, inputs, &outputs).map(drop).map_err(|wrong| wrong.to_string())
}

#[test]
#[ignore = "needs an adapter"]
fn random_measures_match_the_oracle() {
    let (gpu, small) = (crate::support::gpu(), small());
    let (mut failures, mut cut) = (Failures::default(), 0);
    for n in 0..45 {
        let Some((measures, case, ranges)) = drawn(n) else { continue };
        let inputs = inputs(&case, &ranges);
        failures.add(|| format!("{n} {measures:?}"), verdict(&gpu, &measures, &inputs));
        match small.attention().plan(&measures).map(|plan| plan.steps()) {
            Ok(..400) => {
                cut += 1;
                failures.add(|| format!("{n} small {measures:?}"), verdict(&small, &measures, &inputs));
            }
            Ok(_) | Err(Error::BindingLimit { .. }) => {}
            Err(error) => failures.add(|| format!("{n} small"), Err(text(error))),
        }
    }
    println!("{cut} of them on a small device too");
    assert!(cut > 20, "few ran on a small device");
    failures.finish("random measures match the oracle");
}

/// A map with a cell for each pair is the weights, bit for bit; all measures at once are those alone.
#[test]
#[ignore = "needs an adapter"]
fn a_map_of_pairs_is_the_weights() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 70, kv_len: 90, head_dim: 16, value_dim: 8 };
    let spec = Spec::new(shape).mask(Mask::causal()).align(Align::End).weights().without_out();
    let keep = Layout::broadcast(&[70, 90]).expect("two sizes");
    for spec in [spec.clone(), spec.clone().only(1..3, 5..68), spec.keep(keep, 90)] {
        let case = Case::random(spec.clone(), 4);
        let weights = gpu.run(&case.spec, &case.inputs()).expect("it runs").weights.expect("asked for");
        let measures = Measures::of(&spec).map(70, 90, Pool::Sum, MapOf::EachHead);
        let rows = spec.view(Tensor::Weights).expect("asked for").sizes[2];
        let measures = if rows < 70 { Measures::of(&spec).map(rows, 90, Pool::Max, MapOf::EachHead) } else { measures };
        let outputs = gpu.run(&measures, &inputs(&case, &[])).expect("it runs");
        let map = outputs.map.expect("asked for");
        assert_eq!(map.len(), weights.len());
        let same = map.iter().zip(&weights).filter(|(a, b)| a == b).count();
        assert_eq!(same, weights.len(), "{spec:?}");
        let all = gpu.run(measures.rows().received().top(3), &inputs(&case, &[])).expect("it runs");
        assert_eq!(all.map, Some(map));
        let received = all.received.expect("asked for");
        let total: f32 = received.iter().sum();
        let sums: f32 = all.row_measures.expect("asked for").chunks(7).map(|row| row[3]).sum();
        approx::assert_relative_eq!(total, sums, max_relative = 1e-5);
    }
}
