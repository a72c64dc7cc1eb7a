//! What needs no device: every refusal, masks against their definition, layouts against brute force, specs as keys.

#[path = "spec/errors.rs"]
mod errors;
#[path = "spec/layouts.rs"]
mod layouts;
#[path = "spec/masks.rs"]
mod masks;

use std::collections::HashSet;

use wgpu_attention::{
    Align, Caps, DType, Error, Inputs, Layout, MAX_LEN, Mask, Order, ScoreStage, Shape, Slopes, Spec, Tensor,
    kernels::Program,
};

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 3, kv_len: 5, head_dim: 8, value_dim: 6 };

fn spec() -> Spec {
    Spec::new(SHAPE)
}

fn message(spec: &Spec) -> String {
    spec.check().expect_err("this spec is refused").to_string()
}

/// Sets one size by its name.
fn resized(name: &str, size: u32) -> Spec {
    let mut shape = SHAPE;
    let field = match name {
        "batch" => &mut shape.batch,
        "q_heads" => &mut shape.q_heads,
        "kv_heads" => &mut shape.kv_heads,
        "q_len" => &mut shape.q_len,
        "kv_len" => &mut shape.kv_len,
        "head_dim" => &mut shape.head_dim,
        "value_dim" => &mut shape.value_dim,
        _ => panic!("no size {name}"),
    };
    *field = size;
    Spec::new(shape)
}

#[test]
fn zero_sizes_are_refused_by_name() {
    for name in ["batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "value_dim"] {
        assert_eq!(message(&resized(name, 0)), format!("{name} is 0"));
    }
    assert_eq!(spec().check(), Ok(()));
}

#[test]
fn large_sizes_are_refused_with_their_limit() {
    assert_eq!(message(&resized("head_dim", 600)), "head_dim 600 is above 512");
    assert_eq!(message(&resized("value_dim", 513)), "value_dim 513 is above 512");
    assert_eq!(message(&resized("q_len", MAX_LEN + 1)), "q_len 536870913 is above 536870912");
    assert_eq!(message(&resized("kv_len", u32::MAX)), "kv_len 4294967295 is above 536870912");
    for name in ["head_dim", "value_dim"] {
        assert_eq!(resized(name, 512).check(), Ok(()));
        assert_eq!(resized(name, 1).check(), Ok(()));
    }
}

#[test]
fn heads_divide() {
    let heads = |q_heads, kv_heads| Spec::new(Shape { q_heads, kv_heads, ..SHAPE });
    assert_eq!(message(&heads(4, 3)), "4 query heads cannot share 3 key heads evenly");
    assert_eq!(message(&heads(2, 4)), "2 query heads cannot share 4 key heads evenly");
    for (q_heads, kv_heads) in [(4, 4), (4, 2), (4, 1), (7, 7), (12, 3)] {
        assert_eq!(heads(q_heads, kv_heads).check(), Ok(()));
    }
}

#[test]
fn numbers_are_finite() {
    for (number, printed) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        assert_eq!(message(&spec().scale(number)), format!("scale is {printed}, not a finite number"));
        assert_eq!(message(&spec().softcap(number)), format!("softcap is {printed}, not a finite number"));
    }
    for scale in [0.0, -0.0, -1.5, f32::MAX, f32::MIN_POSITIVE] {
        assert_eq!(spec().scale(scale).check(), Ok(()));
    }
}

#[test]
fn masks_need_an_alignment() {
    for mask in [Mask::causal(), Mask::window(Some(3), None), Mask::window(Some(u32::MAX), Some(u32::MAX))] {
        let text = "a causal mask or window needs Spec::align: say where query 0 stands among the keys";
        assert_eq!(message(&spec().mask(mask)), text);
        for align in [Align::Start, Align::End, Align::At(i32::MIN), Align::At(i32::MAX)] {
            assert_eq!(spec().mask(mask).align(align).check(), Ok(()));
        }
    }
    assert_eq!(spec().mask(Mask::window(None, None)).check(), Ok(()));
}

/// Setters of all that is declared and not built.
fn unbuilt() -> Vec<(&'static str, Spec)> {
    let (spec, pairs) = (spec(), Order::Bhsd.layout(4, 3, 5));
    vec![
        ("q_type other than f32", spec.clone().q_type(DType::F16)),
        ("kv_type other than f32", spec.clone().kv_type(DType::Bf16)),
        ("out_type other than f32", spec.clone().out_type(DType::F16)),
        ("bias_type other than f32", spec.clone().bias_type(DType::Bf16)),
        ("softcap", spec.clone().softcap(30.0)),
        ("bias", spec.clone().bias(pairs, 5)),
        ("keep", spec.clone().keep(pairs, 5)),
        ("alibi", spec.clone().alibi(Slopes::Head)),
        ("sinks", spec.clone().sinks()),
        ("kv_lens", spec.clone().kv_lens()),
        ("append", spec.clone().append()),
        ("packed", spec.clone().packed(3)),
        ("block_mask", spec.block_mask(64)),
    ]
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (feature, spec) in unbuilt() {
        assert_eq!(message(&spec), format!("{feature} is not built yet"));
    }
    let source = include_str!("../src/check.rs");
    let list = source.split("let missing = [").nth(1).and_then(|rest| rest.split("];").next()).expect("the list");
    let declared: Vec<_> = list.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(unbuilt().iter().map(|&(feature, _)| feature).collect::<Vec<_>>(), declared, "a feature has no case");
}

#[test]
fn overlapping_strides_of_out_are_refused() {
    // out is [2, 4, 3, 6].
    for (batch, head, row) in [(72, 18, 5), (72, 17, 6), (71, 18, 6), (0, 18, 6), (72, 0, 6), (72, 18, 0), (6, 6, 6)] {
        let text = format!(
            "out may be written twice at one address: of its strides {batch} (batch), {head} (head) and {row} (row), each must step over all that smaller ones reach"
        );
        assert_eq!(message(&spec().out_layout(Layout { offset: 0, batch, head, row })), text);
    }
}

#[test]
fn odd_strides_are_accepted() {
    let bshd = (72, 6, 24);
    let padded = (101, 25, 7);
    let batch_inside = (18, 36, 6);
    for (batch, head, row) in [(72, 18, 6), bshd, padded, batch_inside, (6, 36, 12), (1 << 30, 18, 6)] {
        assert_eq!(spec().out_layout(Layout { offset: 13, batch, head, row }).check(), Ok(()));
    }
    let one = Shape { batch: 1, q_heads: 1, kv_heads: 1, ..SHAPE };
    let unused = Layout { offset: 0, batch: 0, head: u64::MAX, row: 6 };
    assert_eq!(Spec::new(one).out_layout(unused).check(), Ok(()), "a stride that no index uses may be anything");
    let broadcast = Layout { offset: 0, batch: 0, head: 0, row: 0 };
    let inputs = spec().q_layout(broadcast).k_layout(broadcast).v_layout(broadcast);
    assert_eq!(inputs.check(), Ok(()), "inputs may be broadcast");
}

#[test]
fn sizes_overflow_with_a_name() {
    let far = |batch| Layout { offset: 0, batch, head: 8, row: 8 };
    let max = u64::from(u32::MAX);
    assert_eq!(message(&spec().q_layout(far(u64::MAX))), "the size of q overflows 64 bits");
    assert_eq!(message(&spec().k_layout(Layout { offset: u64::MAX, ..far(8) })), "the size of k overflows 64 bits");
    // The last row of k starts at batch + 8 + 4 * 8 and has 8 elements.
    assert_eq!(
        message(&spec().k_layout(far(max - 47))),
        format!("k reaches over {} elements, above the {max} that 32 bits address", max + 1)
    );
    assert_eq!(spec().k_layout(far(max - 48)).check(), Ok(()));
    let huge = Shape { batch: u32::MAX, q_heads: u32::MAX, kv_heads: u32::MAX, q_len: MAX_LEN, ..SHAPE };
    assert_eq!(message(&Spec::new(huge)), "the size of q overflows 64 bits");
    let pairs = Spec::new(Shape { batch: 1, q_len: 1 << 16, kv_len: 1 << 16, ..SHAPE });
    assert_eq!(pairs.check(), Ok(()));
    let refused = |name| format!("{name} reaches over {} elements, above the {max} that 32 bits address", 4u64 << 32);
    assert_eq!(message(&pairs.clone().weights()), refused("weights"));
    assert_eq!(message(&pairs.clone().scores(ScoreStage::Masked)), refused("scores"));
}

#[test]
fn work_is_limited() {
    let (least, unlimited) = (Caps::webgpu(), Caps { binding_bytes: u64::MAX, ..Caps::webgpu() });
    let refusal = |shape, caps| Program::new(&Spec::new(shape), caps, None).map(|_| ()).map_err(|e| e.to_string());
    let long =
        Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1 << 20, kv_len: 1 << 20, head_dim: 512, value_dim: 512 };
    let dispatches = refusal(Shape { q_heads: 7, ..long }, &unlimited).expect_err("it is 10^16 operations");
    assert!(
        dispatches.starts_with("the number of dispatches ") && dispatches.ends_with(" is above 65536"),
        "{dispatches}"
    );
    let many = Shape { batch: (1 << 31) + 1, q_len: 1, kv_len: 1, head_dim: 1, value_dim: 1, ..long };
    assert_eq!(refusal(many, &unlimited), Err("the number of workgroups 2147483649 is above 2147483648".into()));
    let heavy = Shape { q_len: 1 << 17, kv_len: 1, ..long };
    let bound = "q takes 268435456 bytes, above the 134217728 that this device binds";
    assert_eq!(refusal(heavy, &least), Err(bound.into()));
    assert_eq!(refusal(Shape { kv_len: 1 << 10, q_len: 1 << 10, ..long }, &least), Ok(()));
}

#[test]
fn short_inputs_are_refused_by_name() {
    let (q, k, v) = ([0.0; 192], [0.0; 160], [0.0; 120]);
    let inputs = Inputs::new(&q, &k, &v);
    assert_eq!(inputs.check(&spec()), Ok(()));
    let short = |name, got, needs| Err(Error::Input { name, got, needs });
    assert_eq!(Inputs::new(&q[1..], &k, &v).check(&spec()), short("q", 191, 192));
    assert_eq!(Inputs::new(&q, &k[1..], &v).check(&spec()), short("k", 159, 160));
    assert_eq!(Inputs::new(&q, &k, &v[1..]).check(&spec()), short("v", 119, 120));
}

#[test]
fn tensors_are_numbered_by_their_place() {
    assert!(Tensor::ALL.iter().enumerate().all(|(place, &tensor)| tensor as usize == place));
    let names: HashSet<_> = Tensor::ALL.map(Tensor::name).into();
    assert_eq!(names.len(), Tensor::ALL.len());
    let all = spec().lse().weights().scores(ScoreStage::Scaled);
    let sizes: Vec<_> = all.views().map(|view| (view.tensor.name(), view.sizes, view.written)).collect();
    let pairs = [2, 4, 3, 5];
    let inputs = [("q", [2, 4, 3, 8], false), ("k", [2, 2, 5, 8], false), ("v", [2, 2, 5, 6], false)];
    let outputs = [("out", [2, 4, 3, 6]), ("lse", [2, 4, 3, 1]), ("weights", pairs), ("scores", pairs)];
    assert_eq!(sizes, [&inputs[..], &outputs.map(|(name, sizes)| (name, sizes, true))].concat());
}

#[test]
fn specs_are_keys() {
    let dense = Order::Bhsd.layout(4, 3, 8);
    let mut all: Vec<_> = unbuilt().into_iter().map(|(_, spec)| spec).collect();
    all.extend([
        spec(),
        resized("q_len", 4),
        spec().mask(Mask::causal()),
        spec().align(Align::Start),
        spec().align(Align::End),
        spec().align(Align::At(0)),
        spec().scale(0.0),
        spec().scale(-0.0),
        spec().order(Order::Bshd),
        spec().q_layout(dense),
        spec().k_layout(dense),
        spec().v_layout(dense),
        spec().out_layout(dense),
        spec().lse(),
        spec().weights(),
        spec().scores(ScoreStage::Scaled),
        spec().scores(ScoreStage::Masked),
        spec().shared_buffer(),
    ]);
    assert_eq!(all.iter().cloned().collect::<HashSet<_>>().len(), all.len(), "each setter makes another key");
    assert_eq!(all.iter().chain(&all).cloned().collect::<HashSet<_>>().len(), all.len(), "equal specs are one key");
    assert_eq!(spec().scale(f32::NAN), spec().scale(f32::NAN), "NaN is refused, and does not grow a cache");
}
