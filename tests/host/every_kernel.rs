//! Every kernel there is, for tests.

use std::collections::HashSet;

use wgpu_attention::{
    Activation, Algorithm, Align, Angles, BlockForm, Caps, DType, Divergence, Embed, Grid, Layout, Linear, Locate,
    MapOf, Mask, Measures, Merge, Norm, Pairs, Pool, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec, Tensor,
    kernels::{Choice, Kernel},
    program::Program,
};

/// Head and value dimensions on both sides of each change of tile and of access.
const DIMS: [(u32, u32); 14] = [
    (64, 64),
    (1, 1),
    (5, 5),
    (40, 40),
    (80, 80),
    (128, 128),
    (256, 256),
    (512, 512),
    (64, 40),
    (40, 5),
    (5, 64),
    (512, 68),
    (96, 132),
    (64, 260),
];

/// Every kernel on the devices `caps`: each choice of parts and types, and the commonest at dimensions on both sides of each
/// edge.
pub(crate) fn every_kernel(caps: &[Caps]) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for caps in caps {
        // A binding too short for all keys makes partial results.
        let short = Caps { binding_bytes: 8192, ..caps.clone() };
        for problem in problems() {
            for (problem, choice) in ways(problem, caps) {
                for caps in [caps, &short] {
                    let program = Program::new(&problem, caps, choice);
                    kernels.extend(program.map(|program| program.kernels).unwrap_or_default());
                }
            }
        }
    }
    let mut seen = HashSet::new();
    kernels.retain(|kernel| seen.insert(*kernel));
    kernels
}

/// A problem by every algorithm: as it is, or in 16-bit floats where the algorithm takes no others.
fn ways(problem: Problem, caps: &Caps) -> Vec<(Problem, Choice)> {
    let Problem::Attention(spec) = &problem else { return vec![(problem, Choice::Suggested)] };
    let out = spec.view(Tensor::Out).map(|out| out.dtype).filter(|&out| out != DType::F32);
    let halves = spec.clone().q_type(DType::F16).kv_type(DType::F16).out_type(out.unwrap_or(DType::F16));
    let typed = |algorithm| {
        let fits = Algorithm::candidates(spec, caps).is_ok_and(|fit| fit.contains(&algorithm));
        if fits { spec.clone() } else { halves.clone() }
    };
    Algorithm::ALL.map(|algorithm| (typed(algorithm).into(), Choice::Asked(algorithm))).into()
}

fn problems() -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for (head_dim, value_dim) in DIMS {
        let shape = Shape { batch: 1, q_heads: 2, kv_heads: 1, q_len: 33, kv_len: 300, head_dim, value_dim };
        let spec = Spec::new(shape);
        let odd = |rows, dim: u32| Layout { offset: 1, batch: 0, head: u64::from(rows * dim), row: dim.into() };
        let scalar = spec.clone().q_layout(odd(33, head_dim)).out_layout(odd(33, value_dim));
        let scored = |spec: &Spec| spec.clone().weights().scores(ScoreStage::Scaled);
        let all = [spec.clone(), spec.clone().lse(), scored(&scalar), scalar, scored(&spec)];
        problems.extend(all[..3].iter().flat_map(measured));
        problems.extend(all.into_iter().flat_map(|spec| [spec.clone(), spec.shared_buffer()]).map(Problem::from));
    }
    let features = features();
    problems.extend(features.iter().flat_map(measured));
    problems.extend(features.into_iter().map(Problem::from));
    problems.extend(others());
    problems.extend(layers());
    problems
}

/// All measures of a problem, with maps of cells lower and higher than a tile; none where it appends.
fn measured(spec: &Spec) -> Vec<Problem> {
    if spec.view(Tensor::NewK).is_some() {
        return vec![];
    }
    let measures = Measures::of(spec).ranges(2).top(5).received();
    let low = measures.clone().map(3, 7, Pool::Sum, MapOf::EachHead);
    [low, Measures::of(spec).rows().map(1, 2, Pool::Max, MapOf::AllHeads)].map(Problem::from).into()
}

/// Each feature alone, all together, and each with the types that it touches.
fn features() -> Vec<Spec> {
    let shape = Shape { batch: 2, q_heads: 2, kv_heads: 1, q_len: 33, kv_len: 300, head_dim: 64, value_dim: 64 };
    let (square, odd) =
        (Layout { offset: 0, batch: 0, head: 0, row: 300 }, Shape { head_dim: 5, value_dim: 7, ..shape });
    let one = Spec::new(Shape { batch: 1, ..shape });
    let blocks = BlockForm { q_len: 33, kv_len: 300, block: 64, heads: 2, partial: 5 };
    let few = Spec::new(Shape { q_len: 3, ..shape });
    let rotary = |pairs, angles| Rotary { dim: 64, pairs, angles };
    let mut all = Vec::new();
    for spec in [Spec::new(shape), Spec::new(odd)] {
        for half in [DType::F32, DType::F16, DType::Bf16] {
            let typed = spec.clone().q_type(half).kv_type(half).out_type(half).bias_type(half);
            let typed_bias = typed.clone().bias(square, 300).scores(ScoreStage::Masked);
            let bits = typed.clone().keep(square, 300).keep_type(DType::Bit).scores(ScoreStage::Masked);
            all.extend([typed.clone(), typed_bias, bits, typed.clone().append(3)]);
            all.extend([typed.clone().append(3).new_type(DType::F32), typed.weights().lse()]);
        }
    }
    let spec = Spec::new(shape);
    let stages = [ScoreStage::Scaled, ScoreStage::Capped, ScoreStage::Masked];
    all.extend([
        spec.clone().softcap(30.0),
        spec.clone().alibi(Slopes::Head).align(Align::End),
        spec.clone().keep(square, 300),
        spec.clone().block_mask(blocks),
        spec.clone().block_mask(BlockForm { block: 256, ..blocks }).weights().scores(ScoreStage::Masked),
        spec.clone().sinks(),
        spec.clone().kv_lens(),
        spec.clone().weights().without_out(),
        spec.clone().lse().without_out(),
        one.clone().packed(3),
        few.clone(),
        few.clone().keep(Layout { offset: 0, batch: 0, head: 900, row: 300 }, 300),
        few.clone().weights().sinks().lse(),
        spec.clone().additive().head_scales().scores(ScoreStage::Scaled),
        spec.clone().additive().weights().scores(ScoreStage::Capped),
        spec.clone().head_scales(),
        placed(shape, [5, 60], |rows, columns| Grid::neighbourhood(rows, columns, 3)),
        placed(shape, [5, 60], |rows, columns| Grid::neighbourhood(rows, columns, 3).biased())
            .weights()
            .scores(ScoreStage::Masked),
        placed(shape, [5, 60], |rows, columns| Grid::windows(rows, columns, 4, 2).biased()).weights(),
        placed(shape, [1, 3], |rows, columns| Grid::windows(rows, columns, 2, 1).biased()),
        Spec::new(odd).additive().kv_type(DType::F16),
        few.clone().additive(),
        one.clone().additive().packed(3),
        one.bias(square, 300).keep(square, 300).alibi(Slopes::Head).align(Align::End).packed(3).sinks().weights(),
    ]);
    for angles in [Angles::Appended { positions: 300 }, Angles::Ids { positions: 9 }, Angles::Rows] {
        all.extend(
            [Pairs::Halves, Pairs::Interleaved]
                .map(|pairs| spec.clone().append_rotated(spec.shape().q_len, rotary(pairs, angles))),
        );
    }
    let everything = spec.mask(Mask::causal()).align(Align::End).softcap(30.0).alibi(Slopes::Head).sinks().lse();
    let everything =
        everything.bias(square, 300).keep(square, 300).block_mask(BlockForm { block: 16, ..blocks }).kv_lens();
    all.extend(stages.map(|stage| everything.clone().scores(stage)));
    all.extend([everything.clone(), everything.weights()]);
    let shared: Vec<_> = all.iter().map(|spec| spec.clone().shared_buffer()).collect();
    all.into_iter().chain(shared).collect()
}

/// A grid of places.
fn placed(shape: Shape, [rows, columns]: [u32; 2], grid: impl Fn(u32, u32) -> Grid) -> Spec {
    let (places, grid) = (rows * columns, grid(rows, columns));
    Spec::new(Shape { q_len: places, kv_len: places, ..shape }).grid(grid)
}

fn others() -> Vec<Problem> {
    let divergence = Divergence::new([2, 2, 33, 300]);
    let mut all = [divergence.clone(), divergence.shared_buffer()].map(Problem::from).to_vec();
    for half in [DType::F32, DType::F16, DType::Bf16] {
        for dim in [64, 6] {
            let merge = Merge::new(3, [2, 2, 33, dim]).out_type(half);
            all.extend([merge.clone(), merge.lse().sinks()].map(Problem::from));
            let locate = Locate::new([2, 2, 33, dim], dim / 2, 9).k_type(half).out_type(half);
            all.extend([locate.clone(), locate.shared_buffer()].map(Problem::from));
            for angles in [Angles::Appended { positions: 9 }, Angles::Ids { positions: 9 }, Angles::Rows] {
                let rotary = Rotary { dim: 6, pairs: Pairs::Halves, angles };
                let rope = Rope::new([2, 2, 33, dim], rotary).q_type(half).out_type(half);
                all.extend([rope.clone(), rope.shared_buffer()].map(Problem::from));
            }
        }
    }
    all
}

/// The parts of a layer beside attention: few rows and many, every type, vec4 and single elements, every activation.
fn layers() -> Vec<Problem> {
    let mut all: Vec<Problem> = Vec::new();
    let activations = [Activation::None, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu];
    for half in [DType::F32, DType::F16, DType::Bf16] {
        for dim in [64, 6] {
            for rows in [1, 3, 16, 33] {
                let linear = Linear::new(rows, dim, dim + 12).x_type(half).weight_type(half).out_type(half);
                all.extend([linear.clone(), linear.bias().residual().shared_buffer()].map(Problem::from));
            }
            let norms = [Norm::layer(33, dim, 1e-5), Norm::rms(33, dim, 1e-5).residual(), Norm::unit(33, dim, 1e-5)];
            let norms = norms.map(|norm| norm.x_type(half).out_type(half));
            all.extend(norms.iter().flat_map(|norm| [norm.clone(), norm.clone().shared_buffer()]).map(Problem::from));
            let embed = Embed::new(33, 9, dim).table_type(half).out_type(half);
            all.extend([embed.clone(), embed.positions(40, 2, 7).shared_buffer()].map(Problem::from));
        }
    }
    all.extend(activations.map(|activation| Linear::new(33, 64, 64).activation(activation).into()));
    all
}
