//! What needs no device: every refusal, masks against their definition, layouts against brute force, specs as keys.

#[path = "spec/block_masks.rs"]
mod block_masks;
#[path = "spec/errors.rs"]
mod errors;
#[path = "spec/layouts.rs"]
mod layouts;
#[path = "spec/masks.rs"]
mod masks;

use std::collections::HashSet;

use wgpu_attention::{
    Align, Angles, BlockForm, Caps, DType, Data, Divergence, Embed, Error, Grid, Inputs, Layout, Linear, Locate,
    MAX_LEN, MAX_WIDTH, Mask, Merge, Norm, Order, Pairs, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec,
    Tensor,
    kernels::{self, Choice, Program},
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
        let text = "a causal mask, a window or ALiBi needs Spec::align: say where query 0 stands among the keys";
        assert_eq!(message(&spec().mask(mask)), text);
        for align in [Align::Start, Align::End, Align::At(i32::MIN), Align::At(i32::MAX)] {
            assert_eq!(spec().mask(mask).align(align).check(), Ok(()));
        }
    }
    assert_eq!(spec().mask(Mask::window(None, None)).check(), Ok(()));
}

fn rotary(dim: u32, angles: Angles) -> Rotary {
    Rotary { dim, pairs: Pairs::Halves, angles }
}

fn form(heads: u32) -> BlockForm {
    BlockForm { q_len: 3, kv_len: 5, block: 64, heads, partial: 1 }
}

/// A spec for each feature, and for each choice within it.
fn features() -> Vec<Spec> {
    let (spec, pairs) = (spec(), Order::Bhsd.layout(4, 3, 5));
    let one = Spec::new(Shape { batch: 1, ..SHAPE });
    let angles = [Angles::Appended { positions: 9 }, Angles::Ids { positions: 9 }, Angles::Rows];
    let interleaved = Rotary { pairs: Pairs::Interleaved, ..rotary(4, Angles::Rows) };
    let mut all = vec![
        spec.clone().q_type(DType::F16),
        spec.clone().kv_type(DType::Bf16),
        spec.clone().out_type(DType::F16),
        spec.clone().bias_type(DType::Bf16),
        spec.clone().keep_type(DType::Bit),
        spec.clone().new_type(DType::F16),
        spec.clone().softcap(30.0),
        spec.clone().softcap(-30.0),
        spec.clone().bias(pairs, 5),
        spec.clone().bias(pairs, 4),
        spec.clone().keep(pairs, 5),
        spec.clone().keep(pairs, 9),
        spec.clone().block_mask(form(1)),
        spec.clone().block_mask(form(4)),
        spec.clone().alibi(Slopes::Head).align(Align::End),
        spec.clone().alibi(Slopes::BatchHead).align(Align::End),
        spec.clone().sinks(),
        spec.clone().kv_lens(),
        spec.clone().append(1),
        spec.clone().append(5),
        spec.clone().append(1).new_layouts(pairs, pairs),
        spec.clone().append_rotated(1, interleaved),
        one.clone().packed(3),
        one.packed(4),
        spec.clone().lse().without_out(),
        spec.clone().weights().only(1..2, 0..3),
        spec.clone().weights().only(0..4, 1..2),
        spec.clone().additive(),
        spec.clone().head_scales(),
        Spec::new(Shape { q_len: 6, kv_len: 6, ..SHAPE }).grid(Grid::neighbourhood(2, 3, 1)),
        Spec::new(Shape { q_len: 6, kv_len: 6, ..SHAPE }).grid(Grid::windows(2, 3, 2, 0)),
        Spec::new(Shape { q_len: 6, kv_len: 6, ..SHAPE }).grid(Grid::windows(2, 3, 2, 1).biased()),
    ];
    all.extend(angles.map(|angles| spec.clone().append_rotated(1, rotary(4, angles))));
    all
}

#[test]
fn every_feature_is_accepted() {
    features().iter().for_each(|spec| assert_eq!(spec.check(), Ok(()), "{spec:?}"));
}

#[test]
fn choices_that_make_no_sense_are_refused() {
    let (spec, one) = (spec(), Spec::new(Shape { batch: 1, ..SHAPE }));
    let appended = |dim, angles| spec.clone().append_rotated(1, rotary(dim, angles));
    let pairs = Order::Bhsd.layout(4, 3, 5);
    for (spec, said) in [
        (spec.clone().kv_type(DType::Bool), "kv_type is bool, not f32, f16 or bf16"),
        (spec.clone().out_type(DType::Bit), "out_type is bit, not f32, f16 or bf16"),
        (spec.clone().bias_type(DType::U32), "bias_type is u32, not f32, f16 or bf16"),
        (spec.clone().append(1).new_type(DType::U32), "new_type is u32, not f32, f16 or bf16"),
        (spec.clone().keep_type(DType::F32), "keep_type is f32, not bool or bit"),
        (spec.clone().softcap(0.0), "softcap is 0"),
        (spec.clone().bias(pairs, 0), "columns of bias is 0"),
        (spec.clone().keep(pairs, 0), "columns of keep is 0"),
        (spec.clone().block_mask(form(0)), "heads is 0"),
        (spec.clone().block_mask(form(2)), "the block mask is made for heads 2, the shape has 4"),
        (spec.clone().append(0), "rows to append is 0"),
        (spec.clone().append(6), "rows to append 6 is above 5"),
        (one.clone().packed(0), "sequences is 0"),
        (spec.clone().packed(2), "packed does not go with a batch of more than one: the sequences are the batch"),
        (one.clone().packed(2).append(1), "packed does not go with append: a cache has a batch item for each sequence"),
        (
            one.packed(2).kv_lens(),
            "packed does not go with kv_lens: the cumulative lengths say where each sequence ends",
        ),
        (appended(0, Angles::Rows), "rotary dim is 0"),
        (appended(5, Angles::Rows), "rotary dim 5 is odd"),
        (appended(10, Angles::Rows), "rotary dim 10 is above 8"),
        (appended(4, Angles::Ids { positions: 0 }), "positions is 0"),
        (appended(4, Angles::Appended { positions: 0 }), "positions is 0"),
        (spec.clone().only(0..5, 0..3), "heads 0..5 are empty or outside 0..4"),
        (spec.clone().only(2..2, 0..3), "heads 2..2 are empty or outside 0..4"),
        (spec.clone().only(0..1, 1..4), "rows 1..4 are empty or outside 0..3"),
        (spec.clone().without_out(), "nothing to compute: without out, ask for lse, weights or scores"),
    ] {
        assert_eq!(message(&spec), said);
    }
    let alibi = "a causal mask, a window or ALiBi needs Spec::align: say where query 0 stands among the keys";
    assert_eq!(message(&spec.alibi(Slopes::Head)), alibi);
}

#[test]
fn rotations_and_merges_are_checked() {
    let refused = |problem: Problem| problem.check().expect_err("it is refused").to_string();
    let rope = |sizes| Rope::new(sizes, rotary(4, Angles::Rows));
    let merge = |parts, sizes| Problem::from(Merge::new(parts, sizes));
    for (problem, said) in [
        (rope([0, 1, 1, 4]).into(), "batch is 0"),
        (rope([1, 0, 1, 4]).into(), "heads is 0"),
        (rope([1, 1, MAX_LEN + 1, 4]).into(), "len 536870913 is above 536870912"),
        (rope([1, 1, 1, 513]).into(), "head_dim 513 is above 512"),
        (rope([1, 1, 1, 3]).into(), "rotary dim 4 is above 3"),
        (rope([1, 1, 1, 4]).q_type(DType::Bit).into(), "q_type is bit, not f32, f16 or bf16"),
        (rope([1, 1, 1, 4]).out_type(DType::U32).into(), "out_type is u32, not f32, f16 or bf16"),
        (merge(0, [1, 1, 1, 4]), "parts is 0"),
        (merge(2, [1, 1, 0, 4]), "len is 0"),
        (merge(2, [1, 1, 1, 600]), "value_dim 600 is above 512"),
        (merge(1 << 20, [1 << 20, 1, 1, 4]), "the size of parts overflows 64 bits"),
        (Merge::new(2, [1, 1, 1, 4]).out_type(DType::Bool).into(), "out_type is bool, not f32, f16 or bf16"),
    ] {
        assert_eq!(refused(problem), said);
    }
    assert_eq!(Problem::from(rope([1, 1, 1, 4])).check(), Ok(()));
    assert_eq!(merge(2, [1, 1, 1, 4]).check(), Ok(()));
}

#[test]
fn comparisons_are_checked() {
    let refused = |sizes| Problem::from(Divergence::new(sizes)).check().expect_err("it is refused").to_string();
    for (sizes, said) in [
        ([0, 1, 1, 4], "batch is 0"),
        ([1, 0, 1, 4], "heads is 0"),
        ([1, 1, 0, 4], "rows is 0"),
        ([1, 1, 1, 0], "kv_len is 0"),
        ([1, 1, MAX_LEN + 1, 4], "rows 536870913 is above 536870912"),
        ([1, 1, 1, MAX_LEN + 1], "kv_len 536870913 is above 536870912"),
        ([u32::MAX, u32::MAX, MAX_LEN, MAX_LEN], "the size of weights overflows 64 bits"),
    ] {
        assert_eq!(refused(sizes), said);
    }
    let (problem, weights) = (Divergence::new([1, 1, 2, 4]), [0.25; 8]);
    assert_eq!(Problem::from(&problem).check(), Ok(()));
    let one = Inputs::default().set(Tensor::Weights, Data::Floats(&weights));
    let said = |inputs: Inputs<'_>| inputs.check(&problem).expect_err("it is refused").to_string();
    assert_eq!(said(one), "input other_weights has 0 elements, needs 8");
    let both = one.set(Tensor::OtherWeights, Data::Floats(&weights));
    assert_eq!(both.check(&problem), Ok(()));
    assert_eq!(said(both.sinks(&[0.0])), "input sinks is given, but this problem does not read it");
    // A row is as much as a dispatch must have.
    let caps = Caps { binding_bytes: 15, ..Caps::webgpu() };
    let limit = Program::new(&problem, &caps, Choice::Suggested).expect_err("a row is longer").to_string();
    assert_eq!(limit, "weights takes 16 bytes for one row of work, above the 12 that this device binds");
}

#[test]
fn layers_are_checked() {
    let refused = |problem: Problem| problem.check().expect_err("it is refused").to_string();
    let (linear, norm, embed) = (Linear::new(2, 3, 4), Norm::layer(2, 3, 1e-5), Embed::new(2, 3, 4));
    let twice = Layout { offset: 0, batch: 0, head: 0, row: 3 };
    let over = "rows 536870913 is above 536870912";
    for (problem, said) in [
        (Linear::new(0, 3, 4).into(), "rows is 0"),
        (Linear::new(MAX_LEN + 1, 3, 4).into(), over),
        (Linear::new(2, MAX_WIDTH + 1, 4).into(), "inputs 1048577 is above 1048576"),
        (Linear::new(2, 3, 0).into(), "outputs is 0"),
        (linear.clone().x_type(DType::U32).into(), "x_type is u32, not f32, f16 or bf16"),
        (linear.clone().weight_type(DType::Bit).into(), "weight_type is bit, not f32, f16 or bf16"),
        (linear.clone().out_type(DType::Bool).into(), "out_type is bool, not f32, f16 or bf16"),
        (
            linear.clone().out_layout(twice).into(),
            "out may be written twice at one address: of its strides 0 (batch), 0 (head) and 3 (row), each must step over all \
             that smaller ones reach",
        ),
        (Norm::layer(MAX_LEN + 1, 3, 1e-5).into(), over),
        (Norm::rms(2, 0, 1e-5).into(), "dim is 0"),
        (Norm::unit(2, 3, -1.0).into(), "epsilon is -1, not a normal number above 0"),
        (Norm::unit(2, 3, f32::INFINITY).into(), "epsilon is inf, not a normal number above 0"),
        (Norm::unit(2, 3, f32::NAN).into(), "epsilon is NaN, not a normal number above 0"),
        (norm.clone().x_type(DType::U32).into(), "x_type is u32, not f32, f16 or bf16"),
        (norm.clone().out_type(DType::U32).into(), "out_type is u32, not f32, f16 or bf16"),
        (Embed::new(2, 0, 4).into(), "vocabulary is 0"),
        (Embed::new(2, 3, MAX_WIDTH + 1).into(), "dim 1048577 is above 1048576"),
        (embed.clone().positions(9, 8, 2).into(), "positions 8..10 are empty or outside 0..9"),
        (embed.clone().positions(9, 8, 0).into(), "period is 0"),
        (embed.clone().positions(0, 0, 1).into(), "positions is 0"),
        (embed.clone().table_type(DType::U32).into(), "table_type is u32, not f32, f16 or bf16"),
        (embed.clone().out_type(DType::U32).into(), "out_type is u32, not f32, f16 or bf16"),
    ] {
        assert_eq!(refused(problem), said);
    }
    // A period longer than there are rows asks for no position that no row has.
    let problems = [linear.into(), norm.into(), embed.positions(9, 7, u32::MAX).into()];
    assert!(problems.iter().all(|problem: &Problem| problem.check().is_ok()));
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
    assert_eq!(message(&spec().q_layout(far(u64::MAX))), "the size of q overflows 64 bits");
    assert_eq!(message(&spec().k_layout(Layout { offset: u64::MAX, ..far(8) })), "the size of k overflows 64 bits");
    let huge = Shape { batch: u32::MAX, q_heads: u32::MAX, kv_heads: u32::MAX, q_len: MAX_LEN, ..SHAPE };
    assert_eq!(message(&Spec::new(huge)), "the size of q overflows 64 bits");
    let pairs = Spec::new(Shape { batch: 1, q_len: 1 << 16, kv_len: 1 << 16, ..SHAPE });
    assert_eq!(pairs.check(), Ok(()));
    assert_eq!(pairs.weights().check(), Ok(()), "devices decide how much they bind, and the rest is cut");
}

#[test]
fn work_is_limited() {
    let (least, unlimited) = (Caps::webgpu(), Caps { binding_bytes: u64::MAX, ..Caps::webgpu() });
    let refusal =
        |shape, caps| Program::new(Spec::new(shape), caps, Choice::Suggested).map(|_| ()).map_err(|e| e.to_string());
    let long =
        Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1 << 20, kv_len: 1 << 20, head_dim: 512, value_dim: 512 };
    let dispatches = refusal(Shape { q_heads: 7, ..long }, &unlimited).expect_err("it is 10^16 operations");
    assert!(
        dispatches.starts_with("the number of dispatches ") && dispatches.ends_with(" is above 65536"),
        "{dispatches}"
    );
    let many = Shape { batch: (1 << 31) + 1, q_len: 1, kv_len: 1, head_dim: 1, value_dim: 1, ..long };
    assert_eq!(refusal(many, &unlimited), Ok(()), "pieces count their work items anew");
    let heavy = Shape { q_len: 1 << 17, kv_len: 1, ..long };
    assert_eq!(refusal(heavy, &least), Ok(()), "256 MiB of queries are bound in pieces");
    assert_eq!(refusal(Shape { kv_len: 1 << 10, q_len: 1 << 10, ..long }, &least), Ok(()));
}

#[test]
fn short_inputs_are_refused_by_name() {
    let (q, k, v) = ([0.0; 192], [0.0; 160], [0.0; 120]);
    let inputs = Inputs::new(&q, &k, &v);
    assert_eq!(inputs.check(spec()), Ok(()));
    let short = |name, got, needs| Err(Error::Input { name, got, needs });
    assert_eq!(Inputs::new(&q[1..], &k, &v).check(spec()), short("q", 191, 192));
    assert_eq!(Inputs::new(&q, &k[1..], &v).check(spec()), short("k", 159, 160));
    assert_eq!(Inputs::new(&q, &k, &v[1..]).check(spec()), short("v", 119, 120));
    assert_eq!(inputs.check(spec().sinks()), short("sinks", 0, 4));
    let wrong = Err(Error::Type { name: "sinks", got: DType::F32, wanted: "of the kind of the data given" });
    assert_eq!(inputs.set(Tensor::Sinks, Data::Words(&[0; 4])).check(spec().sinks()), wrong);
    assert_eq!(inputs.sinks(&[0.0; 4]).check(spec().sinks()), Ok(()));
    assert_eq!(inputs.sinks(&[0.0; 4]).check(spec()), Err(Error::UnusedInput { name: "sinks" }));
}

#[test]
fn tensors_are_numbered_by_their_place() {
    assert!(Tensor::ALL.iter().enumerate().all(|(place, &tensor)| tensor as usize == place));
    let names: HashSet<_> = Tensor::ALL.map(Tensor::name).into();
    assert_eq!(names.len(), Tensor::ALL.len());
    let all = spec().lse().weights().scores(ScoreStage::Scaled);
    let pair = Layout::broadcast(&[3, 4]).expect("two sizes");
    let more = spec().bias(pair, 4).keep(pair, 4).alibi(Slopes::BatchHead).sinks().only(1..3, 0..1).weights();
    let more =
        more.additive().head_scales().append_rotated(2, rotary(4, Angles::Ids { positions: 9 })).new_type(DType::F16);
    let found: Vec<_> = more.views().map(|view| (view.tensor.name(), view.sizes, view.dtype, view.written)).collect();
    let [f, h, u] = [DType::F32, DType::F16, DType::U32];
    let wanted = [
        ("q", [2, 4, 3, 8], f, false),
        ("k", [2, 2, 5, 8], f, true),
        ("v", [2, 2, 5, 6], f, true),
        ("out", [2, 4, 3, 6], f, true),
        ("new_k", [2, 2, 2, 8], h, false),
        ("new_v", [2, 2, 2, 6], h, false),
        ("bias", [2, 4, 3, 4], f, false),
        ("keep", [2, 4, 3, 4], DType::Bool, false),
        ("slopes", [1, 1, 2, 4], f, false),
        ("sinks", [1, 1, 1, 4], f, false),
        ("kv_lens", [1, 1, 1, 2], u, false),
        ("cos", [1, 1, 9, 2], f, false),
        ("sin", [1, 1, 9, 2], f, false),
        ("positions", [2, 1, 1, 2], u, false),
        ("weights", [2, 2, 1, 5], f, true),
        ("score_weights", [1, 1, 4, 8], f, false),
        ("head_scales", [1, 1, 1, 4], f, false),
    ];
    assert_eq!(found, wanted);
    let packed = Spec::new(Shape { batch: 1, ..SHAPE }).packed(3);
    assert_eq!(packed.view(Tensor::CuQ).map(|view| view.sizes), Some([1, 1, 1, 4]));
    let sizes: Vec<_> = all.views().map(|view| (view.tensor.name(), view.sizes, view.written)).collect();
    let pairs = [2, 4, 3, 5];
    let inputs = [("q", [2, 4, 3, 8], false), ("k", [2, 2, 5, 8], false), ("v", [2, 2, 5, 6], false)];
    let outputs = [("out", [2, 4, 3, 6]), ("lse", [2, 4, 3, 1]), ("weights", pairs), ("scores", pairs)];
    assert_eq!(sizes, [&inputs[..], &outputs.map(|(name, sizes)| (name, sizes, true))].concat());
}

#[test]
fn products_are_scaled_unless_told_otherwise_and_additive_scores_are_not() {
    assert_eq!(spec().scale_or_default(), 8f32.sqrt().recip());
    assert_eq!(spec().additive().scale_or_default(), 1.0);
    assert_eq!(spec().additive().scale(0.25).scale_or_default(), 0.25);
}

#[test]
fn grids_are_checked() {
    let spec = Spec::new(Shape { q_len: 20, kv_len: 20, ..SHAPE });
    let said = |grid| spec.clone().grid(grid).check().map_err(|error| error.to_string());
    assert_eq!((said(Grid::neighbourhood(4, 5, 3)), said(Grid::windows(4, 5, 9, 8).biased())), (Ok(()), Ok(())));
    for (grid, text) in [
        (Grid::neighbourhood(0, 5, 3), "rows of the grid is 0"),
        (Grid::neighbourhood(4, 6, 3), "a grid does not go with q_len or kv_len other than its rows times its columns"),
        (Grid::neighbourhood(4, 5, 2), "a neighbourhood does not go with an even window, which has no middle"),
        (Grid::neighbourhood(4, 5, 5), "window of the grid 5 is above 4"),
        (Grid::windows(4, 5, 0, 0), "window of the grid is 0"),
        (Grid::windows(4, 5, 3, 3), "shift of the windows 3 is above 2"),
    ] {
        assert_eq!(said(grid), Err(text.into()));
    }
    let lengths = spec.clone().grid(Grid::neighbourhood(4, 5, 3)).kv_lens();
    assert_eq!(message(&lengths), "a grid does not go with lengths that the device reads");
    let table = spec.grid(Grid::windows(4, 5, 3, 1).biased()).view(Tensor::GridBias).map(|view| view.sizes);
    assert_eq!(table, Some([1, 4, 5, 5]));
}

/// What a query sees, against the papers' words, one place at a time.
#[test]
fn places_near_a_query_are_those_of_the_papers() {
    for (rows, columns, window) in [(4, 5, 3), (7, 7, 7), (9, 5, 5), (1, 1, 1)] {
        for i in 0..rows * columns {
            let [down, across] = Grid::neighbourhood(rows, columns, window).near(i);
            for (range, x, len) in [(down, i / columns, rows), (across, i % columns, columns)] {
                assert_eq!((range.end - range.start, range.contains(&x), range.end <= len), (window, true, true));
                let inside = x >= window / 2 && x + window / 2 < len;
                assert!(!inside || range.start + window / 2 == x, "{i} is in the middle of {range:?}");
            }
        }
        for shift in 0..window {
            // A cyclic shift, windows from the corner, and a mask between what was not side by side.
            let place = |x: u32, len: u32| (x + len - shift % len) % len;
            for i in 0..rows * columns {
                let [down, across] = Grid::windows(rows, columns, window, shift).near(i);
                for (range, x, len) in [(down, i / columns, rows), (across, i % columns, columns)] {
                    if len % window != 0 {
                        continue; // the paper pads
                    }
                    let seen = |y: u32| {
                        let (a, b) = (place(x, len), place(y, len));
                        a / window == b / window && (x < shift) == (y < shift)
                    };
                    assert!((0..len).all(|y| seen(y) == range.contains(&y)), "{x} of {len}, {window}, {shift}");
                }
            }
        }
    }
}

#[test]
fn matrices_refuse_additive_scores_by_name() {
    let caps = Caps { f16: true, matrix: Some(16), subgroups: Some([32, 32]), ..Caps::webgpu() };
    let spec = spec().q_type(DType::F16).kv_type(DType::F16).out_type(DType::F16).additive();
    let refused = kernels::Matrix::new(&spec, &caps).expect_err("it has no products").to_string();
    assert_eq!(refused, "kernel matrix cannot run: additive scores are sums of tanh, and no products of matrices");
}

#[test]
fn locations_are_checked() {
    let said = |locate: Locate| Problem::from(locate).check().map_err(|error| error.to_string());
    let plain = || Locate::new([2, 3, 5, 8], 4, 3);
    assert_eq!(said(plain()), Ok(()));
    for (locate, text) in [
        (Locate::new([0, 3, 5, 8], 4, 3), "batch is 0"),
        (Locate::new([2, 3, 5, 513], 4, 3), "dim 513 is above 512"),
        (Locate::new([2, 3, 5, 8], 0, 3), "channels is 0"),
        (Locate::new([2, 3, 5, 8], 513, 3), "channels 513 is above 512"),
        (Locate::new([2, 3, 5, 8], 4, 0), "width is 0"),
        (plain().k_type(DType::Bit), "k_type is bit, not f32, f16 or bf16"),
        (plain().out_type(DType::U32), "out_type is u32, not f32, f16 or bf16"),
    ] {
        assert_eq!(said(locate), Err(text.into()));
    }
    let views: Vec<_> = Problem::from(plain().one_alignment()).views().map(|view| (view.tensor, view.sizes)).collect();
    let wanted = [
        (Tensor::K, [2, 3, 5, 8]),
        (Tensor::Out, [2, 3, 5, 8]),
        (Tensor::Previous, [2, 1, 1, 5]),
        (Tensor::Filters, [1, 1, 4, 3]),
        (Tensor::FilterWeights, [1, 1, 8, 4]),
    ];
    assert_eq!(views, wanted);
}

#[test]
fn types_round_to_the_nearest() {
    assert_eq!((DType::F16.round(2049.0), DType::F16.round(2051.0)), (2048.0, 2052.0), "ties to even");
    assert_eq!((DType::Bf16.round(257.0), DType::Bf16.round(259.0)), (256.0, 260.0), "ties to even");
    assert_eq!(DType::F32.round(0.1), 0.1);
    for dtype in [DType::F32, DType::F16, DType::Bf16] {
        let one_up = 1.0 + dtype.epsilon() as f32;
        assert_eq!((dtype.round(one_up), dtype.round(1.0 + dtype.epsilon() as f32 / 4.0)), (one_up, 1.0));
        assert!(dtype.is_float());
    }
    let bits = [DType::F32, DType::F16, DType::Bf16, DType::U32, DType::Bool, DType::Bit].map(DType::bits);
    assert_eq!(bits, [32, 16, 16, 32, 8, 1]);
}

#[test]
fn broadcast_is_that_of_array_libraries() {
    let layout = |batch, head, row| Some(Layout { offset: 0, batch, head, row });
    assert_eq!(Layout::broadcast(&[7]), layout(0, 0, 0));
    assert_eq!(Layout::broadcast(&[3, 7]), layout(0, 0, 7));
    assert_eq!(Layout::broadcast(&[4, 1, 7]), layout(0, 7, 0));
    assert_eq!(Layout::broadcast(&[2, 1, 3, 7]), layout(21, 0, 7));
    assert_eq!(Layout::broadcast(&[2, 4, 3, 1]), layout(12, 3, 1));
    assert_eq!((Layout::broadcast(&[]), Layout::broadcast(&[1; 5])), (None, None));
}

#[test]
fn specs_are_keys() {
    let dense = Order::Bhsd.layout(4, 3, 8);
    let mut all = features();
    all.extend([
        spec().block_mask(BlockForm { partial: 2, ..form(1) }),
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
