//! Problems with every option, of hostile numbers, a good part of which are legal.

use proptest::{collection::vec, prelude::*, sample::select, strategy::BoxedStrategy};
use wgpu_attention::{
    Activation, Align, BlockForm, DType, Divergence, Embed, Grid, Layout, Linear, Locate, MapOf, Mask, Measures, Merge,
    Norm, Order, Pool, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec,
};

use crate::values::{block_form, dim, dtype, float, layout, order, rotary, size};

/// One setter of a spec and its arguments. What is called `fitting` follows the shape of the spec, and so is legal more often.
#[derive(Clone, Debug)]
enum Choice {
    Masked(Option<u32>, Option<u32>, Align),
    Aligned(Align),
    Scale(f32),
    Ordered(Order),
    Laid(u8, Layout),
    /// Every input at one place: no memory, however many elements.
    OnePlace,
    Typed(u8, DType),
    Lse,
    WithoutOut,
    Weights,
    Scores(ScoreStage),
    Only([u32; 4]),
    Shared,
    Softcap(f32),
    Bias(Layout, u32),
    FittingBias([bool; 3]),
    Keep(Layout, u32),
    FittingKeep([bool; 3], bool),
    Alibi(Slopes),
    Sinks,
    KvLens,
    Append(u32, Option<Rotary>),
    Packed(u32),
    BlockMask(BlockForm),
    FittingBlocks(u32, bool, u32),
    Additive,
    HeadScales,
    Gridded(u32, u32, u32, Option<u32>, bool),
}

fn align() -> impl Strategy<Value = Align> {
    let at = prop_oneof![any::<i32>(), select(&[0, i32::MIN, i32::MAX, -1][..])];
    prop_oneof![Just(Align::Start), Just(Align::End), at.prop_map(Align::At)]
}

fn choice() -> BoxedStrategy<Choice> {
    let slopes = select(&[Slopes::Head, Slopes::BatchHead][..]);
    let stage = select(&[ScoreStage::Scaled, ScoreStage::Capped, ScoreStage::Masked][..]);
    let limit = || prop::option::of(size());
    let many = prop_oneof![
        (limit(), limit(), align()).prop_map(|(left, right, align)| Choice::Masked(left, right, align)),
        align().prop_map(Choice::Aligned),
        float().prop_map(Choice::Scale),
        order().prop_map(Choice::Ordered),
        (0_u8..6, layout()).prop_map(|(tensor, layout)| Choice::Laid(tensor, layout)),
        (0_u8..6, dtype()).prop_map(|(tensor, dtype)| Choice::Typed(tensor, dtype)),
        [size(), size(), size(), size()].prop_map(Choice::Only),
        float().prop_map(Choice::Softcap),
        (layout(), size()).prop_map(|(layout, columns)| Choice::Bias(layout, columns)),
        (layout(), size()).prop_map(|(layout, columns)| Choice::Keep(layout, columns)),
    ];
    let plain = select(
        &[
            Choice::OnePlace,
            Choice::Lse,
            Choice::WithoutOut,
            Choice::Weights,
            Choice::Shared,
            Choice::Sinks,
            Choice::KvLens,
            Choice::Additive,
            Choice::HeadScales,
        ][..],
    );
    let sized = prop_oneof![
        slopes.prop_map(Choice::Alibi),
        stage.prop_map(Choice::Scores),
        any::<[bool; 3]>().prop_map(Choice::FittingBias),
        (any::<[bool; 3]>(), any::<bool>()).prop_map(|(own, bits)| Choice::FittingKeep(own, bits)),
        (size(), prop::option::of(rotary())).prop_map(|(len, rotary)| Choice::Append(len, rotary)),
        size().prop_map(Choice::Packed),
        block_form().prop_map(Choice::BlockMask),
        (select(&[16_u32, 64, 256][..]), any::<bool>(), size())
            .prop_map(|(block, heads, partial)| Choice::FittingBlocks(block, heads, partial)),
        (size(), size(), size(), limit(), any::<bool>())
            .prop_map(|(rows, columns, window, shift, biased)| Choice::Gridded(rows, columns, window, shift, biased)),
    ];
    prop_oneof![many, plain, sized].boxed()
}

impl Choice {
    /// What it makes of the shape, before there is a spec.
    fn shape(&self, shape: Shape) -> Shape {
        match self {
            Self::Gridded(rows, columns, ..) => {
                let places = rows.wrapping_mul(*columns);
                Shape { q_len: places, kv_len: places, ..shape }
            }
            Self::Packed(_) => Shape { batch: 1, ..shape },
            _ => shape,
        }
    }

    fn apply(&self, spec: Spec) -> Spec {
        let s = *spec.shape();
        let broadcast = |[batch, heads, rows]: [bool; 3]| {
            let or_one = |own: bool, size: u32| if own { size } else { 1 };
            let sizes = [or_one(batch, s.batch), or_one(heads, s.q_heads), or_one(rows, s.q_len), s.kv_len];
            Layout::broadcast(&sizes).expect("four sizes")
        };
        let nowhere = Layout { offset: 0, batch: 0, head: 0, row: 0 };
        match *self {
            Self::Masked(left, right, align) => spec.mask(Mask::window(left, right)).align(align),
            Self::Aligned(align) => spec.align(align),
            Self::Scale(scale) => spec.scale(scale),
            Self::Ordered(order) => spec.order(order),
            Self::Laid(0, layout) => spec.q_layout(layout),
            Self::Laid(1, layout) => spec.k_layout(layout),
            Self::Laid(2, layout) => spec.v_layout(layout),
            Self::Laid(3, layout) => spec.out_layout(layout),
            Self::Laid(4, layout) => spec.new_layouts(layout, nowhere),
            Self::Laid(_, layout) => spec.new_layouts(nowhere, layout),
            Self::OnePlace => spec.q_layout(nowhere).k_layout(nowhere).v_layout(nowhere),
            Self::Typed(0, dtype) => spec.q_type(dtype),
            Self::Typed(1, dtype) => spec.kv_type(dtype),
            Self::Typed(2, dtype) => spec.out_type(dtype),
            Self::Typed(3, dtype) => spec.bias_type(dtype),
            Self::Typed(4, dtype) => spec.keep_type(dtype),
            Self::Typed(_, dtype) => spec.new_type(dtype),
            Self::Lse => spec.lse(),
            Self::WithoutOut => spec.without_out(),
            Self::Weights => spec.weights(),
            Self::Scores(stage) => spec.scores(stage),
            Self::Only([head, heads, row, rows]) => {
                let range = |from: u32, len: u32, all: u32| {
                    let from = from % all.max(1);
                    from..from.saturating_add(len)
                };
                spec.only(range(head, heads, s.q_heads), range(row, rows, s.q_len))
            }
            Self::Shared => spec.shared_buffer(),
            Self::Softcap(cap) => spec.softcap(cap),
            Self::Bias(layout, columns) => spec.bias(layout, columns),
            Self::FittingBias(own) => spec.bias(broadcast(own), s.kv_len),
            Self::Keep(layout, columns) => spec.keep(layout, columns),
            Self::FittingKeep(own, bits) => {
                spec.keep(broadcast(own), s.kv_len).keep_type(if bits { DType::Bit } else { DType::Bool })
            }
            Self::Alibi(slopes) => spec.alibi(slopes),
            Self::Sinks => spec.sinks(),
            Self::KvLens => spec.kv_lens(),
            Self::Append(len, None) => spec.append(len),
            Self::Append(len, Some(rotary)) => spec.append_rotated(len, rotary),
            Self::Packed(sequences) => spec.packed(sequences),
            Self::BlockMask(form) => spec.block_mask(form),
            Self::FittingBlocks(block, own, partial) => {
                let heads = if own { s.q_heads } else { 1 };
                spec.block_mask(BlockForm { q_len: s.q_len, kv_len: s.kv_len, block, heads, partial })
            }
            Self::Additive => spec.additive(),
            Self::HeadScales => spec.head_scales(),
            Self::Gridded(rows, columns, window, shift, biased) => {
                let grid = match shift {
                    Some(shift) => Grid::windows(rows, columns, window, shift),
                    None => Grid::neighbourhood(rows, columns, window),
                };
                spec.grid(if biased { grid.biased() } else { grid })
            }
        }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let group = prop_oneof![4 => Just(1_u32), 2 => 2_u32..=8, 1 => size()];
    (size(), size(), group, size(), size(), dim(), dim()).prop_map(
        |(batch, kv_heads, group, q_len, kv_len, head_dim, value_dim)| {
            let q_heads = kv_heads.saturating_mul(group);
            Shape { batch, q_heads, kv_heads, q_len, kv_len, head_dim, value_dim }
        },
    )
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    (shape(), vec(choice(), 0..6)).prop_map(|(shape, choices)| {
        let shape = choices.iter().fold(shape, |shape, choice| choice.shape(shape));
        choices.iter().fold(Spec::new(shape), |spec, choice| choice.apply(spec))
    })
}

pub(crate) fn measures() -> impl Strategy<Value = Measures> {
    let small = || prop_oneof![2 => Just(0_u32), 2 => 1_u32..=64, 1 => size()];
    let map = (prop_oneof![1_u32..=9, size()], prop_oneof![1_u32..=9, size()], any::<[bool; 2]>());
    (spec(), any::<[bool; 2]>(), small(), small(), prop::option::of(map)).prop_map(
        |(spec, [rows, received], ranges, top, map)| {
            let mut measures = Measures::of(&spec).top(top);
            measures = if rows { measures.ranges(ranges) } else { measures };
            measures = if received { measures.received() } else { measures };
            if let Some((rows, columns, [sum, each])) = map {
                let of = if each { MapOf::EachHead } else { MapOf::AllHeads };
                measures = measures.map(rows, columns, if sum { Pool::Sum } else { Pool::Max }, of);
            }
            measures
        },
    )
}

/// The parts of a layer beside attention.
fn layers() -> impl Strategy<Value = Problem> {
    let width = || prop_oneof![4 => 1_u32..=64, 1 => Just(1 << 20), 1 => size()];
    let acts = [Activation::None, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu];
    let storage = || (prop::option::of(layout()), prop::option::of(layout()), dtype(), dtype(), any::<[bool; 3]>());
    let linear = (size(), width(), width(), select(acts.to_vec()), storage()).prop_map(
        |(rows, inputs, outputs, activation, (x, out, kind, weight, [bias, residual, shared]))| {
            let mut linear = Linear::new(rows, inputs, outputs).activation(activation).x_type(kind).weight_type(weight);
            linear = x.map_or(linear.clone(), |layout| linear.x_layout(layout));
            linear = out.map_or(linear.clone(), |layout| linear.out_layout(layout).residual_layout(layout));
            linear = if bias { linear.bias() } else { linear };
            linear = if residual { linear.residual() } else { linear };
            if shared { linear.shared_buffer() } else { linear }.into()
        },
    );
    let norm = (size(), width(), 0_u8..3, prop_oneof![Just(1e-5), float()], storage()).prop_map(
        |(rows, dim, kind, epsilon, (x, out, x_type, out_type, [residual, _, shared]))| {
            let new = [Norm::layer, Norm::rms, Norm::unit][usize::from(kind)];
            let mut norm = new(rows, dim, epsilon).x_type(x_type).out_type(out_type);
            norm = x.map_or(norm.clone(), |layout| norm.x_layout(layout).residual_layout(layout));
            norm = out.map_or(norm.clone(), |layout| norm.out_layout(layout));
            norm = if residual { norm.residual() } else { norm };
            if shared { norm.shared_buffer() } else { norm }.into()
        },
    );
    let embed = (size(), size(), width(), prop::option::of((size(), size(), size())), storage()).prop_map(
        |(rows, vocabulary, dim, positions, (_, out, table, kind, [.., shared]))| {
            let mut embed = Embed::new(rows, vocabulary, dim).table_type(table).out_type(kind);
            embed = out.map_or(embed.clone(), |layout| embed.out_layout(layout));
            embed = positions.map_or(embed.clone(), |(count, first, period)| embed.positions(count, first, period));
            if shared { embed.shared_buffer() } else { embed }.into()
        },
    );
    prop_oneof![linear, norm, embed]
}

fn others() -> impl Strategy<Value = Problem> {
    let sizes = || [size(), size(), size(), dim()];
    let rope = (sizes(), rotary(), layout(), dtype(), any::<[bool; 2]>()).prop_map(
        |(sizes, rotary, layout, kind, [laid, shared])| {
            let mut rope = Rope::new(sizes, rotary).q_type(kind);
            rope = if laid { rope.q_layout(layout) } else { rope };
            if shared { rope.shared_buffer() } else { rope }.into()
        },
    );
    let merge = (size(), sizes(), order(), layout(), any::<[bool; 3]>()).prop_map(
        |(parts, sizes, order, layout, [lse, sinks, laid])| {
            let mut merge = Merge::new(parts, sizes).order(order);
            merge = if lse { merge.lse() } else { merge };
            merge = if sinks { merge.sinks() } else { merge };
            if laid { merge.out_layout(layout) } else { merge }.into()
        },
    );
    let divergence = [size(), size(), size(), size()].prop_map(|sizes| Divergence::new(sizes).into());
    let locate = (sizes(), dim(), size(), layout(), any::<[bool; 2]>()).prop_map(
        |(sizes, channels, width, layout, [one, laid])| {
            let locate = Locate::new(sizes, channels, width);
            let locate = if one { locate.one_alignment() } else { locate };
            if laid { locate.k_layout(layout) } else { locate }.into()
        },
    );
    prop_oneof![rope, merge, divergence, locate]
}

pub(crate) fn problem() -> BoxedStrategy<Problem> {
    prop_oneof![5 => spec().prop_map(Problem::from), 3 => measures().prop_map(Problem::from), 2 => layers(), 2 => others()].boxed()
}
