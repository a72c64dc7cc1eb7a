//! Measures of attention weights against their oracle: every kind of mask, grouped heads, packed sequences, cut problems.

use wgpu_attention::{
    Align, Caps, DType, DeviceKind, Error, Gpu, Layout, MapOf, Mask, Measures, Pool, Problem, Shape, Spec, Tensor, wgpu,
};

use crate::{
    features::draw,
    support::{Case, Failures, lesser_gpu, text},
};

/// Random measures of a random combination of features; `None` where it appends.
fn drawn(n: u64) -> Option<Case<Measures>> {
    measured(draw(n).spec, n)
}

/// Random measures of an attention; `None` where it appends.
pub(crate) fn measured(spec: Spec, n: u64) -> Option<Case<Measures>> {
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
    let ranges: Vec<_> = (0..count).flat_map(|_| [rng.u32(..shape.kv_len), rng.u32(..=shape.kv_len)]).collect();
    let case = Case::random(spec, n).as_spec(measures);
    Some(if ranges.is_empty() { case } else { case.with(Tensor::Ranges, ranges) })
}

/// A device with no optional feature that binds so little that most problems are cut.
pub(crate) fn small() -> Gpu {
    let limits = wgpu::Limits { max_storage_buffer_binding_size: 8192, ..wgpu::Limits::default() };
    lesser_gpu(wgpu::Features::empty(), limits)
}

fn verdict(gpu: &Gpu, case: &Case<Measures>) -> Result<(), String> {
    let outputs = gpu.run(&case.spec, &case.inputs()).map_err(text)?;
    case.compare(&outputs)
}

#[test]
#[ignore = "needs an adapter"]
fn random_measures_match_the_oracle() {
    let (gpu, small) = (crate::support::gpu(), small());
    let (mut failures, mut cut) = (Failures::default(), 0);
    for n in 0..45 {
        let Some(case) = drawn(n) else { continue };
        failures.add(|| format!("{n} {:?}", case.spec), verdict(&gpu, &case));
        match small.attention().plan(&case.spec).map(|plan| plan.steps()) {
            Ok(..400) => {
                cut += 1;
                failures.add(|| format!("{n} small {:?}", case.spec), verdict(&small, &case));
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
        let weights = gpu.run(&case.spec, &case.inputs()).expect("it runs").take(Tensor::Weights).expect("asked for");
        let measures = Measures::of(&spec).map(70, 90, Pool::Sum, MapOf::EachHead);
        let rows = spec.view(Tensor::Weights).expect("asked for").sizes[2];
        let measures = if rows < 70 { Measures::of(&spec).map(rows, 90, Pool::Max, MapOf::EachHead) } else { measures };
        let outputs = gpu.run(&measures, &case.as_spec(measures.clone()).inputs()).expect("it runs");
        let map = outputs.map().expect("asked for");
        assert_eq!(map.len(), weights.len());
        let same = map.iter().zip(&weights).filter(|(a, b)| a == b).count();
        assert_eq!(same, weights.len(), "{spec:?}");
        let all = case.as_spec(measures.rows().received().top(3));
        let all = gpu.run(&all.spec, &all.inputs()).expect("it runs");
        assert_eq!(all.map(), Some(map));
        let received = all.received().expect("asked for");
        let total: f32 = received.iter().sum();
        let sums: f32 = all.row_measures().expect("asked for").chunks(7).map(|row| row[3]).sum();
        approx::assert_relative_eq!(total, sums, max_relative = 1e-5);
    }
}

/// Whatever kernel makes the forward pass, its tiles are counted; matrices too.
#[test]
#[ignore = "needs an adapter"]
fn tiles_of_every_forward_kernel_are_explained() {
    let gpu = crate::support::gpu();
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 64, kv_len: 64, head_dim: 64, value_dim: 64 };
    let halves = Spec::new(shape).q_type(DType::F16).kv_type(DType::F16).out_type(DType::F16);
    let mut explained = Vec::new();
    for kind in [DeviceKind::Cpu, DeviceKind::Other] {
        let attention = gpu.attention().limited(Caps { kind, ..gpu.attention().caps().clone() });
        for spec in [Spec::new(shape), halves.clone()] {
            let plan = attention.plan(Measures::of(&spec).rows()).expect("a legal problem");
            let said = plan.explain().to_string();
            assert!(said.contains("tiles of "), "{said}");
            explained.extend(plan.kernels().map(String::from));
        }
    }
    println!("{explained:?}");
    let matrices = gpu.attention().caps().matrix.is_some();
    assert!(
        explained.iter().any(|name| name == "tile") && explained.iter().any(|name| name == "matrix") == matrices,
        "{explained:?}"
    );
}
