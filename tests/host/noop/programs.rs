//! Every problem with every choice of features and outputs: planned by each algorithm, bound, recorded.

use std::collections::{BTreeMap, BTreeSet};

use wgpu_attention::{
    Activation, Algorithm, Align, Angles, Attention, BlockForm, Caps, DType, Divergence, Embed, Error, Grid, Layout,
    Linear, Locate, MapOf, Mask, Measures, Merge, Norm, Order, Pairs, Plan, Pool, Problem, Rope, Rotary, ScoreStage,
    Shape, Slopes, Spec,
    kernels::{Choice, Kernel},
    program::Program,
    wgpu,
};

use super::{Noop, SHAPE};

/// Shapes and layouts on both sides of each edge, each with every choice of outputs.
pub(super) fn specs() -> Vec<Spec> {
    let masked = |spec: Spec| spec.mask(Mask::causal().and(Mask::window(Some(2), None))).align(Align::End);
    let shapes = [
        SHAPE,
        Shape { q_len: 70, kv_len: 130, head_dim: 5, value_dim: 3, ..SHAPE },
        Shape { batch: 1, q_len: 1, kv_len: 300, head_dim: 128, value_dim: 256, ..SHAPE },
        Shape { head_dim: 512, value_dim: 512, ..SHAPE },
        Shape { batch: 70000, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 1, value_dim: 1 },
    ];
    let token = Layout { offset: 4, batch: 1 << 10, head: 8, row: 100 };
    let plain = shapes.map(Spec::new).into_iter();
    let layouts = [Spec::new(SHAPE).order(Order::Bshd), Spec::new(SHAPE).q_layout(token).out_layout(token)];
    let outputs = |spec: Spec| {
        let wants = [spec.clone(), spec.clone().lse(), spec.clone().weights(), spec.clone().scores(ScoreStage::Masked)];
        let all = spec.clone().lse().weights().scores(ScoreStage::Scaled);
        wants.into_iter().chain([all, masked(spec).lse()])
    };
    plain.chain(layouts).flat_map(outputs).flat_map(|spec| [spec.clone(), spec.shared_buffer()]).collect()
}

/// Each feature alone, and all that go together.
fn features() -> Vec<Problem> {
    let shape = Shape { q_len: 70, kv_len: 130, ..SHAPE };
    let (spec, packed) = (Spec::new(shape), Spec::new(Shape { batch: 1, ..shape }).packed(3));
    let square = Layout::broadcast(&[70, 130]).expect("two sizes");
    let rotary = |angles| Rotary { dim: 4, pairs: Pairs::Halves, angles };
    let masked =
        |spec: Spec| spec.bias(square, 130).keep(square, 130).alibi(Slopes::BatchHead).align(Align::End).sinks();
    let form = BlockForm { q_len: 70, kv_len: 130, block: 16, heads: 1, partial: 9 };
    let mut specs = vec![
        spec.clone().bias(square, 130),
        spec.clone().keep(square, 130).keep_type(DType::Bit),
        spec.clone().block_mask(form),
        masked(spec.clone().block_mask(form)).lse(),
        spec.clone().alibi(Slopes::Head).align(Align::End),
        spec.clone().softcap(3.0).sinks(),
        spec.clone().additive().head_scales().weights().scores(ScoreStage::Capped),
        spec.clone().append(2),
        Spec::new(Shape { q_len: 130, kv_len: 130, ..SHAPE }).grid(Grid::neighbourhood(10, 13, 5).biased()).weights(),
        spec.clone().q_type(DType::F16).kv_type(DType::Bf16).out_type(DType::F16),
        spec.clone().lse().without_out(),
        spec.clone().weights().only(1..3, 2..60),
        spec.clone().scores(ScoreStage::Scaled).without_out(),
        masked(packed.clone()).lse().weights(),
        masked(spec.clone().kv_lens()).lse().weights().scores(ScoreStage::Masked),
        packed,
    ];
    let angles = [Angles::Appended { positions: 130 }, Angles::Ids { positions: 9 }, Angles::Rows];
    specs.extend(angles.map(|angles| spec.clone().append_rotated(70, rotary(angles))));
    let ropes = angles.map(|angles| Problem::from(Rope::new([2, 4, 70, 6], rotary(angles))));
    let merges = [Merge::new(3, [2, 4, 70, 8]), Merge::new(3, [2, 4, 70, 7]).lse().sinks()].map(Problem::from);
    let comparison = Divergence::new([2, 4, 70, 130]);
    let comparisons = [comparison.clone(), comparison.shared_buffer()].map(Problem::from);
    let locates =
        [Locate::new([2, 4, 70, 8], 3, 5), Locate::new([2, 4, 70, 7], 1, 1).one_alignment()].map(Problem::from);
    let alone = [Measures::of(&spec).received(), Measures::of(&spec).map(20, 30, Pool::Max, MapOf::EachHead)];
    let measures = specs.iter().map(|spec| Measures::of(spec).ranges(2).top(5).received());
    let measures = measures.map(|measures| Problem::from(measures.map(20, 30, Pool::Sum, MapOf::EachHead)));
    let measures: Vec<_> = measures.filter(|problem| problem.check().is_ok()).collect();
    assert!(measures.len() > 6, "all but those that append");
    let others = ropes.into_iter().chain(merges).chain(comparisons).chain(locates).chain(measures).chain(layers());
    let others = others.chain(alone.map(Problem::from));
    specs.into_iter().map(Problem::from).chain(others).collect()
}

/// The parts of a layer beside attention.
fn layers() -> [Problem; 6] {
    [
        Linear::new(70, 48, 96).bias().residual().activation(Activation::Silu).into(),
        Linear::new(3, 48, 90).shared_buffer().into(),
        Norm::layer(70, 48, 1e-5).residual().into(),
        Norm::unit(70, 47, 1e-5).out_type(DType::Bf16).into(),
        Embed::new(70, 90, 48).positions(90, 20, 70).into(),
        Embed::new(70, 90, 47).table_type(DType::F16).into(),
    ]
}

/// Devices on which a problem is one piece, and on which it is many.
fn devices(noop: &Noop) -> [Attention; 3] {
    let short = Caps { binding_bytes: 8192, workgroups: 5, ..Caps::webgpu() };
    [noop.attention.clone(), Attention::checked(&noop.device), noop.attention.limited(short)]
}

/// The plans for a problem, by every algorithm that can compute it.
fn plans(attention: &Attention, problem: &Problem) -> Vec<Plan> {
    let made = match problem {
        Problem::Attention(spec) => Algorithm::candidates(spec, attention.caps())
            .expect("a legal spec")
            .into_iter()
            .map(|algorithm| attention.plan_with(algorithm, spec))
            .collect(),
        _ => vec![attention.plan(problem)],
    };
    let short = attention.caps().binding_bytes == 8192;
    let plans = made.into_iter().filter_map(|plan| match plan {
        // A table of cosines, or the parts of a merge, that one dispatch needs whole; very many pieces.
        Err(Error::BindingLimit { .. } | Error::TooLarge { .. }) if short => None,
        plan => Some(plan.unwrap_or_else(|error| panic!("{problem:?}: {error}"))),
    });
    plans.inspect(|plan| assert_eq!(plan.problem(), problem)).collect()
}

#[test]
fn every_program_binds_and_records() {
    let noop = Noop::new();
    let problems: Vec<_> = specs().into_iter().map(Problem::from).chain(features()).collect();
    let (mut seen, mut cut) = (BTreeMap::new(), 0);
    for attention in devices(&noop) {
        for plan in problems.iter().flat_map(|problem| plans(&attention, problem)) {
            let bound = noop.bound(&plan);
            noop.submitted(|encoder| bound.encode(encoder));
            cut += usize::from(plan.steps() > 2 * plan.kernels().count());
            plan.kernels().for_each(|name| *seen.entry(name).or_insert(0) += 1);
        }
    }
    println!("{cut} plans of pieces; kernels: {seen:?}");
    assert!(cut > 20, "few problems were cut");
    let all: BTreeSet<_> = Kernel::names().filter(|name| *name != "matrix").collect();
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), all, "all but matrices, which this device does not have");
}

/// The algorithms of attention, or that there is no choice.
fn choices(problem: &Problem, caps: &Caps) -> Vec<Choice> {
    match problem {
        Problem::Attention(spec) => {
            Algorithm::candidates(spec, caps).expect("a legal spec").into_iter().map(Choice::Asked).collect()
        }
        _ => vec![Choice::Suggested],
    }
}

/// Most storage buffers that a kernel of a program binds.
fn most_buffers(program: &Program) -> usize {
    program.kernels.iter().map(|kernel| kernel.shader().source().bindings.len()).max().unwrap_or(0)
}

#[test]
fn too_few_storage_buffers_are_refused_with_the_number_needed() {
    let mut refused = BTreeSet::new();
    for limit in 0..8 {
        let required_limits = wgpu::Limits { max_storage_buffers_per_shader_stage: limit, ..wgpu::Limits::default() };
        let descriptor = wgpu::DeviceDescriptor { required_limits, ..wgpu::DeviceDescriptor::default() };
        let (device, queue) = wgpu::Device::noop(&descriptor);
        let noop = Noop::on(device, queue);
        let caps = noop.attention.caps();
        assert_eq!(caps.storage_buffers, limit);
        for problem in features() {
            for choice in choices(&problem, caps) {
                let plan = match choice {
                    Choice::Asked(algorithm) => noop.attention.plan_with(algorithm, &problem),
                    _ => noop.attention.plan(&problem),
                };
                let program = |caps: &Caps| Program::new(problem.clone(), caps, choice);
                match plan {
                    Ok(_) => assert!(program(caps).is_ok_and(|program| most_buffers(&program) <= limit as usize)),
                    Err(Error::Kernel { kernel, because }) => {
                        let needs = because.strip_prefix("it binds ").and_then(|rest| rest.split_once(' '));
                        let needs: u32 =
                            needs.and_then(|(needs, _)| needs.parse().ok()).unwrap_or_else(|| panic!("{because}"));
                        assert_eq!(because, format!("it binds {needs} storage buffers, the device {limit}"));
                        let again = program(&Caps { storage_buffers: needs, ..caps.clone() });
                        let again = again.err().map_or(String::new(), |error| error.to_string());
                        assert!(
                            needs > limit && !again.contains(&format!("it binds {needs} ")),
                            "{because}, then {again}"
                        );
                        refused.insert(kernel);
                    }
                    Err(other) => panic!("{limit} buffers, {problem:?}: {other}"),
                }
            }
        }
        assert_eq!(noop.uncaught(), 0);
    }
    let all: BTreeSet<_> = Kernel::names().filter(|name| *name != "matrix").collect();
    assert_eq!(refused, all, "kernels that were refused");
}
