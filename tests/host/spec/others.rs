//! Problems other than attention: what of them is refused, and why.

use wgpu_attention::{
    Angles, Caps, DType, Data, Divergence, Embed, Inputs, Layout, Linear, Locate, MAX_LEN, MAX_WIDTH, Merge, Norm,
    Problem, Rope, Tensor, kernels::Choice, program::Program,
};

use super::rotary;

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
    assert_eq!(said(one), "input other_weights is missing; it has 8 elements");
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
