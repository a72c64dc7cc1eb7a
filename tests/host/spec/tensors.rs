//! The tensors of a problem: their numbers, names, strides and types, and the inputs that are given for them.

use std::collections::HashSet;

use wgpu_attention::{Angles, DType, Data, Error, Inputs, Layout, Order, ScoreStage, Shape, Slopes, Spec, Tensor};

use super::{SHAPE, message, rotary, spec};

#[test]
fn tensors_are_numbered_by_their_place() {
    assert!(Tensor::ALL.iter().enumerate().all(|(place, &tensor)| tensor as usize == place));
    let names: HashSet<_> = Tensor::ALL.map(Tensor::name).into();
    assert_eq!(names.len(), Tensor::ALL.len());
    let all = spec().lse().weights().scores(ScoreStage::Scaled);
    let pair = Layout::broadcast(&[3, 4]).expect("two sizes");
    let more = spec().bias(pair, 4).keep(pair, 4).alibi(Slopes::BatchHead).sinks().only(1..3, 0..1).weights();
    let more =
        more.additive().head_scales().append_rotated(3, rotary(4, Angles::Ids { positions: 9 })).new_type(DType::F16);
    let found: Vec<_> = more.views().map(|view| (view.tensor.name(), view.sizes, view.dtype, view.written)).collect();
    let [f, h, u] = [DType::F32, DType::F16, DType::U32];
    let wanted = [
        ("q", [2, 4, 3, 8], f, false),
        ("k", [2, 2, 5, 8], f, true),
        ("v", [2, 2, 5, 6], f, true),
        ("out", [2, 4, 3, 6], f, true),
        ("new_k", [2, 2, 3, 8], h, false),
        ("new_v", [2, 2, 3, 6], h, false),
        ("bias", [2, 4, 3, 4], f, false),
        ("keep", [2, 4, 3, 4], DType::Bool, false),
        ("slopes", [1, 1, 2, 4], f, false),
        ("sinks", [1, 1, 1, 4], f, false),
        ("kv_lens", [1, 1, 1, 2], u, false),
        ("cos", [1, 1, 9, 2], f, false),
        ("sin", [1, 1, 9, 2], f, false),
        ("positions", [2, 1, 1, 3], u, false),
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
fn short_inputs_are_refused_by_name() {
    let (q, k, v) = ([0.0; 192], [0.0; 160], [0.0; 120]);
    let inputs = Inputs::new(&q, &k, &v);
    assert_eq!(inputs.check(spec()), Ok(()));
    let short = |name, got, needs| Err(Error::Input { name, got, needs });
    assert_eq!(Inputs::new(&q[1..], &k, &v).check(spec()), short("q", 191, 192));
    assert_eq!(Inputs::new(&q, &k[1..], &v).check(spec()), short("k", 159, 160));
    assert_eq!(Inputs::new(&q, &k, &v[1..]).check(spec()), short("v", 119, 120));
    assert_eq!(inputs.check(spec().sinks()), Err(Error::MissingInput { name: "sinks", needs: 4 }));
    // A dense tensor has exactly its elements; one with a layout may be a part of more.
    let longer = Inputs::new(&q, &k, &[0.0; 121]);
    assert_eq!(longer.check(spec()), short("v", 121, 120));
    assert_eq!(longer.check(spec().order(Order::Bshd)), short("v", 121, 120));
    let apart = Layout { offset: 1, ..Order::Bhsd.layout(2, 5, 6) };
    assert_eq!(longer.check(spec().v_layout(apart)), Ok(()));
    let wrong = Err(Error::Type { name: "sinks", got: "f32", wanted: "of the kind of the data given" });
    assert_eq!(inputs.set(Tensor::Sinks, Data::Words(&[0; 4])).check(spec().sinks()), wrong);
    assert_eq!(inputs.sinks(&[0.0; 4]).check(spec().sinks()), Ok(()));
    assert_eq!(inputs.sinks(&[0.0; 4]).check(spec()), Err(Error::UnusedInput { name: "sinks" }));
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
