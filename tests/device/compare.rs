//! Two attentions compared on the device: against their weights on the host, whole and in parts.

use wgpu_attention::{
    Align, DType, Data, Divergence, Gpu, Inputs, Layout, Mask, Measures, Order, Shape, Slopes, Spec, Tensor, inspect,
    reference, reference::Tolerance,
};

use crate::{
    measures::small,
    support::{Case, Failures, text},
};

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 45, kv_len: 150, head_dim: 20, value_dim: 12 };

/// Divergence and largest difference of each row of weights.
fn rows(kv_len: u32, [a, b]: [&[f32]; 2]) -> [Vec<f64>; 2] {
    let pairs = || a.chunks(kv_len as usize).zip(b.chunks(kv_len as usize));
    let largest = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a - b).abs()).fold(0.0, f64::max);
    [pairs().map(|(a, b)| inspect::divergence(a, b)).collect(), pairs().map(largest).collect()]
}

/// The inputs of a comparison: all but values.
fn without_values(case: &Case) -> Case {
    let weights = case.as_spec(Measures::of(&case.spec));
    Case { spec: case.spec.clone(), first_row: case.first_row, values: weights.values }
}

/// What the device says of each row, and in how many parts it was computed.
fn compared(gpu: &Gpu, [one, other]: [&Case; 2]) -> Result<([Vec<f32>; 2], usize), String> {
    let mut parts = 0;
    let [one, other] = [one, other].map(without_values);
    let (a, b) = (one.inputs(), other.inputs());
    let work = gpu.compare_with_progress((&one.spec, &a), (&other.spec, &b), |progress| {
        assert_eq!(progress.done, parts + 1);
        parts = progress.steps.min(progress.done);
    });
    let found = pollster::block_on(work).map_err(text)?.take(Tensor::Divergence).expect("it is the output");
    Ok(([0, 1].map(|kind| found.iter().copied().skip(kind).step_by(2).collect()), parts))
}

/// The oracle's weights compared on the host, and the tolerance that those of the naive formula give.
fn verdict(gpu: &Gpu, cases: [&Case; 2]) -> Result<(), String> {
    let specs = cases.map(|case| case.spec.clone().weights().without_out());
    let of = |side: usize| (&specs[side], cases[side].inputs());
    let exact = [0, 1].map(|side| {
        let (spec, inputs) = of(side);
        let weights = reference::attention(spec, &inputs).take(Tensor::Weights).expect("asked for");
        weights.into_iter().map(|w| w as f32).collect::<Vec<_>>()
    });
    let naive = [0, 1].map(|side| {
        let (spec, inputs) = of(side);
        reference::naive(spec, &inputs).take(Tensor::Weights).expect("asked for")
    });
    let kv_len = specs[0].shape().kv_len;
    let [expected, naive] = [&exact, &naive].map(|[a, b]| rows(kv_len, [a, b]));
    let (found, _) = compared(gpu, cases)?;
    for kind in 0..2 {
        let naive: Vec<_> = naive[kind].iter().map(|&x| x as f32).collect();
        let tolerance = Tolerance::of(&expected[kind], &naive);
        let error = tolerance.check(&found[kind], &expected[kind]).map_err(|mismatch| format!("{kind}: {mismatch}"))?;
        println!("{kind}: {error:.1e} of {:.1e} allowed", tolerance.limit());
    }
    Ok(())
}

/// Pairs of attentions that differ in all that may differ.
fn pairs() -> Vec<[Spec; 2]> {
    let spec = Spec::new(SHAPE).scale(0.3);
    let square = Layout::broadcast(&[45, 150]).expect("two sizes");
    let causal = spec.clone().mask(Mask::causal()).align(Align::End);
    let other = Spec::new(Shape { kv_heads: 1, head_dim: 7, ..SHAPE }).scale(0.5);
    let packed = Spec::new(Shape { batch: 1, q_len: 130, ..SHAPE }).scale(0.3);
    vec![
        [spec.clone(), other.clone()],
        [causal.clone().keep(square, 150).sinks(), spec.clone()],
        [causal.clone(), other.clone().order(Order::Bshd).kv_lens().bias(square, 140)],
        [causal.clone().q_type(DType::F16).softcap(2.0), causal.alibi(Slopes::Head).kv_type(DType::Bf16)],
        [packed.clone().packed(3).sinks(), packed.clone().mask(Mask::causal()).align(Align::End).packed(4)],
        [packed.clone().packed(2), packed],
        [spec.clone().only(1..3, 7..40).keep(square, 130), other.only(1..3, 7..40)],
    ]
}

#[test]
#[ignore = "needs an adapter"]
fn attentions_are_compared_as_their_weights_are() {
    let (gpu, small) = (crate::support::gpu(), small());
    let mut failures = Failures::default();
    for (n, specs) in pairs().into_iter().enumerate() {
        let cases = [0, 1].map(|side| Case::random(specs[side].clone(), 30 + 2 * n as u64 + side as u64));
        for gpu in [&gpu, &small] {
            failures.add(|| format!("{n} {specs:?}"), verdict(gpu, [&cases[0], &cases[1]]));
        }
    }
    failures.finish("attentions are compared as their weights are");
}

/// What 16-bit storage changes is small and not nothing; what nothing changes is nothing.
#[test]
#[ignore = "needs an adapter"]
fn precision_is_seen() {
    let gpu = crate::support::gpu();
    let exact = Case::random(Spec::new(SHAPE).mask(Mask::causal()).align(Align::End), 50);
    let rounded = |dtype| Case { spec: exact.spec.clone().kv_type(dtype), ..exact.clone() };
    let mut last = 0.0;
    for (dtype, most) in [(DType::F32, 0.0), (DType::F16, 1e-6), (DType::Bf16, 1e-4)] {
        let ([divergences, largest], _) = compared(&gpu, [&exact, &rounded(dtype)]).expect("it runs");
        let worst = divergences.iter().copied().fold(0.0, f32::max);
        println!("{dtype}: {worst:.1e}, largest difference {:.1e}", largest.into_iter().fold(0.0, f32::max));
        assert!(worst <= most && (worst > 10.0 * last || dtype == DType::F32), "{dtype}: {worst}");
        assert!(dtype == DType::F32 || divergences.iter().all(|&x| x > 0.0), "{dtype}: some rows do not differ");
        last = worst;
    }
}

/// Some heads at a time; then some rows at a time. Rows of no sequence, whose weights are not written, have none.
#[test]
#[ignore = "needs an adapter"]
fn parts_are_the_whole() {
    let gpu = crate::support::gpu();
    let dims = Shape { head_dim: 4, value_dim: 4, ..SHAPE };
    let heads = Spec::new(Shape { q_heads: 8, q_len: 610, kv_len: 3400, ..dims }).only(2..6, 5..605);
    let rows = Spec::new(Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 1010, kv_len: 9000, ..dims });
    let packed = Spec::new(Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 1010, kv_len: 9000, ..dims }).packed(2);
    for (spec, wanted) in [(heads, 2), (rows.only(1..2, 3..1003), 2), (packed, 4)] {
        let other = spec.clone().mask(Mask::window(Some(1000), None)).align(Align::End);
        let mut cases = [spec, other].map(|spec| Case::random(spec, 60));
        if wanted == 4 {
            // Rows from 600 on have keys in one attention alone; the last part has only such rows.
            for (case, rows) in cases.iter_mut().zip([[300, 600], [150, 1010]]) {
                case.set_words(Tensor::CuQ, [vec![0], rows.to_vec()].concat());
                case.set_words(Tensor::CuK, vec![0, 2000, 9000]);
            }
        }
        let ([divergences, largest], parts) = compared(&gpu, [&cases[0], &cases[1]]).expect("it runs");
        assert_eq!(parts, wanted);
        let weights = cases.each_ref().map(|case| {
            let spec = case.spec.clone().weights().without_out();
            gpu.run(&spec, &case.inputs()).expect("it runs").take(Tensor::Weights).expect("asked for")
        });
        let view = cases[0].spec.clone().weights().view(Tensor::Weights).expect("asked for");
        let [a, b] = &weights;
        let inputs = Inputs::default().set(Tensor::Weights, Data::Floats(a)).set(Tensor::OtherWeights, Data::Floats(b));
        let mut outputs = wgpu_attention::Outputs::of(vec![]);
        let both = divergences.iter().zip(&largest).flat_map(|(&a, &b)| [a, b]).collect();
        outputs.set(Tensor::Divergence, both);
        let checked = reference::check(Divergence::new(view.sizes), &inputs, &outputs);
        let margins = checked.unwrap_or_else(|wrong| panic!("{wrong}"));
        println!("{parts} parts: {}, {}", margins[0], margins[1]);
        assert!(divergences.iter().any(|&x| x > 1e-3), "they are unlike");
        let mut alone = divergences.chunks(1010).flat_map(|head| &head[600..]);
        assert!(wanted != 4 || alone.all(|&x| x == std::f32::consts::LN_2), "rows have weight on one side alone");
    }
}
