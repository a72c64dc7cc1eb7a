//! Sizes and numbers that are refused, each with its name and its limit.

use wgpu_attention::{Caps, Layout, MAX_LEN, Shape, Spec, kernels::Choice, program::Program};

use super::{SHAPE, message, resized, spec};

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
