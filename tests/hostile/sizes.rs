//! Tensors around 2^31 and 2^32 elements and bytes: each problem is cut or refused with the numbers.

use std::collections::BTreeMap;

use wgpu_attention::{
    Angles, Attention, BlockForm, Caps, DType, Divergence, Embed, Error, Grid, Layout, Linear, Locate, MapOf, Measures,
    Merge, Norm, Pairs, Pool, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec, Tensor, kernels::Choice,
    program::Program,
};

use crate::{device, programs::check_all};

/// Sizes that make a tensor as long as 2^31 and 2^32 elements, and one size longer, where each size adds `unit` elements.
fn around(unit: u64) -> impl Iterator<Item = u32> {
    let sizes = [1_u64 << 31, 1 << 32].into_iter().flat_map(move |edge| [edge / unit, edge / unit + 1]);
    sizes.filter_map(|size| u32::try_from(size).ok())
}

const NOWHERE: Layout = Layout { offset: 0, batch: 0, head: 0, row: 0 };

/// Attentions of `n` batch items, heads, queries, keys; and of long rows.
fn shapes() -> Vec<Shape> {
    let one = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 64, value_dim: 64 };
    let rows = around(64).flat_map(|n| {
        [
            Shape { batch: n, ..one },
            Shape { q_heads: n, ..one },
            Shape { q_heads: n, kv_heads: n, ..one },
            Shape { q_len: n, ..one },
            Shape { kv_len: n, ..one },
            Shape { batch: n / 8, q_heads: 4, q_len: 2, ..one },
        ]
    });
    let few = around(1).flat_map(|n| {
        [Shape { batch: n, head_dim: 1, value_dim: 1, ..one }, Shape { q_heads: n, head_dim: 1, value_dim: 1, ..one }]
    });
    rows.chain(few).collect()
}

fn attentions() -> Vec<Problem> {
    let rotary = |angles| Rotary { dim: 64, pairs: Pairs::Halves, angles };
    let each = |shape: Shape| {
        let spec = Spec::new(shape);
        let square = Layout::broadcast(&[shape.batch, shape.q_heads, shape.q_len, shape.kv_len]).expect("four sizes");
        let form =
            BlockForm { q_len: shape.q_len, kv_len: shape.kv_len, block: 16, heads: shape.q_heads, partial: 1 << 28 };
        let mut problems: Vec<Problem> = vec![
            spec.clone().lse().weights().into(),
            spec.clone().scores(ScoreStage::Masked).without_out().into(),
            spec.clone().bias(square, shape.kv_len).keep(square, shape.kv_len).into(),
            spec.clone().q_layout(NOWHERE).k_layout(NOWHERE).lse().without_out().into(),
            spec.clone()
                .sinks()
                .alibi(Slopes::BatchHead)
                .align(wgpu_attention::Align::End)
                .kv_lens()
                .additive()
                .head_scales()
                .into(),
            spec.clone().block_mask(form).into(),
            spec.clone().append(1).into(),
            spec.clone().append(shape.kv_len).into(),
            spec.clone().q_type(DType::F16).kv_type(DType::Bf16).out_type(DType::F16).into(),
            spec.clone().keep(square, shape.kv_len).keep_type(DType::Bit).into(),
            Measures::of(&spec).ranges(16).top(1).received().map(1, 1, Pool::Sum, MapOf::EachHead).into(),
            Measures::of(&spec.clone().q_layout(NOWHERE).k_layout(NOWHERE))
                .map(1, 1, Pool::Max, MapOf::AllHeads)
                .into(),
        ];
        for angles in
            [Angles::Appended { positions: shape.kv_len }, Angles::Ids { positions: shape.kv_len }, Angles::Rows]
        {
            problems.push(spec.clone().append_rotated(1.max(shape.kv_len), rotary(angles)).into());
        }
        problems.push(Spec::new(Shape { batch: 1, ..shape }).packed(shape.q_len).into());
        problems
    };
    let grids = [1 << 10, 1 << 14].map(|side: u32| {
        let shape = Shape {
            batch: 1,
            q_heads: 1 << 10,
            kv_heads: 1,
            q_len: side * side,
            kv_len: side * side,
            head_dim: 8,
            value_dim: 8,
        };
        Spec::new(shape).grid(Grid::neighbourhood(side, side, side - 1).biased()).into()
    });
    shapes().into_iter().flat_map(each).chain(grids).collect()
}

fn others() -> Vec<Problem> {
    let mut all: Vec<Problem> = Vec::new();
    for n in around(64) {
        let rotary = |angles| Rotary { dim: 64, pairs: Pairs::Interleaved, angles };
        for sizes in [[n, 1, 1, 64], [1, n, 1, 64], [1, 1, n, 64], [n / 4, 2, 2, 64]] {
            all.push(Rope::new(sizes, rotary(Angles::Rows)).into());
            all.push(Rope::new(sizes, rotary(Angles::Ids { positions: n })).into());
            all.push(Merge::new(1, sizes).lse().sinks().into());
            all.push(Merge::new(3, sizes).into());
            all.push(Divergence::new(sizes).into());
            all.push(Locate::new(sizes, 512, n).into());
        }
        all.push(Linear::new(n, 64, 64).bias().residual().into());
        all.push(Linear::new(64, n.min(1 << 20), 1 << 20).into());
        all.push(Norm::layer(n, 64, 1e-5).residual().into());
        all.push(Embed::new(n, n, 64).positions(n, 0, n).into());
    }
    for n in around(1) {
        all.push(Merge::new(n, [1, 1, 1, 1]).into());
        all.push(Merge::new(1, [1, n, 1, 1]).sinks().into());
        all.push(Divergence::new([n, 1, 1, 1]).into());
        all.push(Locate::new([n, 1, 1, 1], 1, 1).one_alignment().into());
        all.push(
            Rope::new([n, 1, 1, 2], Rotary { dim: 2, pairs: Pairs::Halves, angles: Angles::Appended { positions: n } })
                .into(),
        );
    }
    all
}

/// An error of a size names the size.
fn check_refusal(problem: &Problem, error: &Error) {
    let conflict = matches!(error, Error::Conflict { .. } | Error::NoOutput | Error::Align | Error::Overflow { .. });
    assert!(conflict || error.to_string().contains(|c: char| c.is_ascii_digit()), "{problem:?}: {error}");
}

#[test]
fn each_is_cut_or_refused() {
    let devices = [1 << 27, u64::MAX].map(|binding_bytes| Caps { binding_bytes, ..Caps::webgpu() });
    let (mut made, mut refused, mut cut) = (0, 0, 0);
    for (problem, caps) in
        attentions().iter().chain(&others()).flat_map(|problem| devices.iter().map(move |caps| (problem, caps)))
    {
        match Program::new(problem, caps, Choice::Suggested) {
            Ok(program) => {
                check_all(problem, caps, &program);
                made += 1;
                cut += usize::from(program.groups.len() > program.kernels.len());
            }
            Err(error) => {
                check_refusal(problem, &error);
                refused += 1;
            }
        }
    }
    println!("{made} programs, {cut} of them cut; {refused} refused");
    assert!(made > 300 && cut > 100 && refused > 100, "{made} {cut} {refused}");
}

/// No tensor was forgotten above: each is longer than 4 GiB in some problem that is legal, or as long as it can be.
#[test]
fn each_tensor_is_long() {
    let mut longest = BTreeMap::new();
    for problem in attentions().iter().chain(&others()).filter(|problem| problem.check().is_ok()) {
        for view in problem.views() {
            let known = longest.entry(view.tensor).or_insert(0);
            *known = view.bytes().expect("it was checked").max(*known);
        }
    }
    for tensor in Tensor::ALL.into_iter().filter(|&tensor| tensor != Tensor::Workspace) {
        let least = match tensor {
            // As many as rows or sequences, of which there are up to 2^29; or as channels, elements, ranges.
            Tensor::CuQ | Tensor::CuK | Tensor::Ids => 1 << 27,
            Tensor::Keep => 1 << 31, // bytes and bits
            Tensor::Ranges | Tensor::FilterWeights | Tensor::NormWeight | Tensor::LayerBias => 128,
            _ => 1 << 32,
        };
        let bytes = longest.get(&tensor).copied().unwrap_or(0);
        assert!(bytes >= least, "{tensor:?}: {bytes}");
    }
}

#[test]
fn a_device_refuses_what_no_buffer_holds() {
    let max = (1 << 31) - 4;
    let attention = Attention::new(&device::noop(max).0);
    let mut refused = 0;
    for problem in attentions().iter().chain(&others()).filter(|problem| problem.check().is_ok()) {
        let long = problem.views().find(|view| view.bytes().expect("it was checked") > max);
        let Some(long) = long else { continue };
        let (name, bytes) = (long.tensor.name(), long.bytes().expect("it was checked"));
        assert_eq!(attention.plan(problem).map(drop), Err(Error::BufferLimit { name, bytes, max }));
        refused += 1;
    }
    assert!(refused > 100, "{refused}");
}
