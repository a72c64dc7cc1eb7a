//! Every choice of a spec: which are accepted, which make no sense, and that each makes another key.

use std::collections::HashSet;

use wgpu_attention::{
    Align, Angles, BlockForm, Caps, DType, Grid, Mask, Order, Pairs, Rotary, ScoreStage, Shape, Slopes, Spec, kernels,
};

use super::{SHAPE, message, resized, rotary, spec};

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
        spec.clone().keep(pairs, 3),
        spec.clone().block_mask(form(1)),
        spec.clone().block_mask(form(4)),
        spec.clone().alibi(Slopes::Head).align(Align::End),
        spec.clone().alibi(Slopes::BatchHead).align(Align::End),
        spec.clone().sinks(),
        spec.clone().kv_lens(),
        spec.clone().append(1),
        spec.clone().append(5),
        spec.clone().append(1).new_layouts(pairs, pairs),
        spec.clone().append_rotated(3, interleaved),
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
    all.extend(angles.map(|angles| spec.clone().append_rotated(3, rotary(4, angles))));
    all.push(spec.append_rotated(1, rotary(4, Angles::Appended { positions: 5 })));
    all
}

#[test]
fn every_feature_is_accepted() {
    features().iter().for_each(|spec| assert_eq!(spec.check(), Ok(()), "{spec:?}"));
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

#[test]
fn choices_that_make_no_sense_are_refused() {
    let (spec, one) = (spec(), Spec::new(Shape { batch: 1, ..SHAPE }));
    let appended = |dim, angles| spec.clone().append_rotated(3, rotary(dim, angles));
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
        (spec.clone().bias(pairs, 6), "columns of bias 6 is above 5"),
        (spec.clone().keep(pairs, 9), "columns of keep 9 is above 5"),
        (
            appended(4, Angles::Appended { positions: 4 }),
            "the rotary tables have 4 positions, and kv_len is 5: the keys past them would not turn",
        ),
        (
            spec.clone().append_rotated(2, rotary(4, Angles::Rows)),
            "q_len beside angles for each appended row 3 is above 2",
        ),
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
fn products_are_scaled_unless_told_otherwise_and_additive_scores_are_not() {
    assert_eq!(spec().scale_or_default(), 8f32.sqrt().recip());
    assert_eq!(spec().additive().scale_or_default(), 1.0);
    assert_eq!(spec().additive().scale(0.25).scale_or_default(), 0.25);
}

#[test]
fn matrices_refuse_additive_scores_by_name() {
    let caps = Caps { f16: true, matrix: Some(16), subgroups: Some([32, 32]), ..Caps::webgpu() };
    let spec = spec().q_type(DType::F16).kv_type(DType::F16).out_type(DType::F16).additive();
    let refused = kernels::Matrix::new(&spec, &caps).expect_err("it has no products").to_string();
    assert_eq!(refused, "kernel matrix cannot run: additive scores are sums of tanh, and no products of matrices");
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
