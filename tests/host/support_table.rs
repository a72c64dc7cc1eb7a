//! The support table of docs/features.md says what the kernels' constructors say.

use std::collections::BTreeSet;

use wgpu_attention::{
    Algorithm, Align, Angles, BlockForm, Caps, DType, Error, Grid, Layout, Locate, Mask, Merge, Order, Pairs, Problem,
    Rope, Rotary, ScoreStage, Shape, Slopes, Spec, Tensor, kernels::Choice, program::Program,
};

const SHAPE: Shape = Shape { batch: 2, q_heads: 6, kv_heads: 6, q_len: 40, kv_len: 70, head_dim: 64, value_dim: 64 };

/// Specs that a line of the table stands for: it says yes if all can run, no if none can.
fn specs(line: &str) -> Option<Vec<Spec>> {
    let spec = || Spec::new(SHAPE);
    let heads = |kv_heads| Spec::new(Shape { kv_heads, ..SHAPE });
    let lens = |q_len, kv_len| Spec::new(Shape { q_len, kv_len, ..SHAPE });
    let dims = |head_dim, value_dim| Spec::new(Shape { head_dim, value_dim, ..SHAPE });
    let square = Layout { offset: 0, batch: 0, head: 0, row: 70 };
    let odd = Layout { offset: 3, batch: 7, head: 70 * 65, row: 65 };
    Some(match line {
        "head_dim and value_dim from 1 to 512, equal or not" => {
            let pairs = (1..=512).map(|dim| (dim, dim)).chain([(1, 512), (512, 1), (40, 72), (192, 128)]);
            pairs.map(|(head_dim, value_dim)| dims(head_dim, value_dim)).collect()
        }
        "grouped-query and multi-query attention" => vec![heads(3), heads(2), heads(1)],
        "cross-attention, more queries than keys" => vec![lens(40, 7), lens(1, 1), lens(129, 7), lens(1, 10_000)],
        "causal, any alignment" => [Align::Start, Align::End, Align::At(-9), Align::At(i32::MAX)]
            .map(|align| spec().mask(Mask::causal()).align(align))
            .into(),
        "sliding window, left and right" => [(Some(3), None), (None, Some(2)), (Some(0), Some(0))]
            .map(|(left, right)| spec().mask(Mask::window(left, right)).align(Align::End))
            .into(),
        "any strides and offsets" => {
            vec![spec().order(Order::Bshd), spec().k_layout(odd), spec().q_layout(odd).v_layout(odd)]
        }
        "f16 and bf16 storage of each tensor" => [half(DType::F16), half(DType::Bf16)].concat(),
        "softcap" => vec![spec().softcap(30.0)],
        "additive bias, any broadcast, short columns" => biases(),
        "boolean keep-mask, bytes or bits" => {
            [DType::Bool, DType::Bit].map(|dtype| spec().keep(square, 70).keep_type(dtype)).into()
        }
        "ALiBi" => [Slopes::Head, Slopes::BatchHead].map(|slopes| spec().alibi(slopes).align(Align::End)).into(),
        "additive scores" => {
            vec![spec().additive(), spec().additive().scale(0.5).kv_type(DType::F16), heads(2).additive()]
        }
        "a factor on the scores of each head" => vec![spec().head_scales(), spec().head_scales().scale(1.0)],
        "neighbourhoods and shifted windows of a grid, with a relative bias" => grids(),
        "learned sinks" => vec![spec().sinks()],
        "key lengths on the device" => vec![spec().kv_lens()],
        "append to a KV cache" => vec![spec().append(1), spec().append(70), spec().append(1).new_type(DType::F16)],
        "rotary embedding in the append and alone" => {
            angles().map(|angles| spec().append_rotated(40, rotary(angles))).into()
        }
        "packed sequences" => vec![Spec::new(Shape { batch: 1, ..SHAPE }).packed(3)],
        "log-sum-exp" => vec![spec().lse()],
        "attention weights" => vec![spec().weights()],
        "raw scores" => {
            [ScoreStage::Scaled, ScoreStage::Capped, ScoreStage::Masked].map(|stage| spec().scores(stage)).into()
        }
        "weights and scores of some heads and rows" => {
            vec![spec().weights().only(1..3, 5..6), spec().scores(ScoreStage::Masked).only(5..6, 0..40)]
        }
        "no out" => vec![spec().lse().without_out(), spec().weights().without_out()],
        "tensors longer than one binding" => {
            vec![lens(1 << 20, 4096), lens(64, 1 << 22), lens(64, 1 << 22).order(Order::Bshd)]
        }
        "all tensors in one buffer" => vec![spec().shared_buffer()],
        "merging of partial results" => vec![], // a problem of its own, below
        "block mask" => {
            let form = BlockForm { q_len: 40, kv_len: 70, block: 16, heads: 1, partial: 9 };
            let all = spec().bias(square, 70).keep(square, 70).lse(); // with which 9 storage buffers would be bound
            vec![
                spec().block_mask(form),
                spec().block_mask(BlockForm { heads: 6, block: 256, ..form }),
                all.block_mask(form),
            ]
        }
        "location-aware keys, by a convolution of the previous weights" => vec![], // and this
        _ => return None,
    })
}

fn half(dtype: DType) -> Vec<Spec> {
    let spec = || Spec::new(SHAPE);
    vec![spec().q_type(dtype), spec().kv_type(dtype), spec().out_type(dtype), biases()[0].clone().bias_type(dtype)]
}

fn grids() -> Vec<Spec> {
    let spec = Spec::new(Shape { q_len: 48, kv_len: 48, ..SHAPE });
    let grids = [Grid::neighbourhood(6, 8, 5), Grid::windows(6, 8, 2, 0), Grid::windows(6, 8, 4, 2)];
    grids.into_iter().flat_map(|grid| [spec.clone().grid(grid), spec.clone().grid(grid.biased())]).collect()
}

fn biases() -> Vec<Spec> {
    let sizes: [&[u32]; 5] = [&[70], &[40, 70], &[6, 1, 70], &[2, 1, 1, 70], &[2, 6, 40, 33]];
    let biased = |sizes: &[u32]| {
        Spec::new(SHAPE).bias(Layout::broadcast(sizes).expect("one to four sizes"), sizes[sizes.len() - 1])
    };
    sizes.map(biased).into()
}

fn angles() -> [Angles; 3] {
    [Angles::Appended { positions: 70 }, Angles::Ids { positions: 70 }, Angles::Rows]
}

fn rotary(angles: Angles) -> Rotary {
    Rotary { dim: 32, pairs: Pairs::Interleaved, angles }
}

#[test]
fn rotations_merges_and_locations_run_alone() {
    let ropes = angles().map(|angles| Problem::from(Rope::new([2, 6, 40, 64], rotary(angles))));
    let merges = [Merge::new(1, [2, 6, 40, 64]), Merge::new(9, [2, 6, 40, 7]).lse().sinks()].map(Problem::from);
    let locates = [Locate::new([2, 6, 70, 64], 10, 201), Locate::new([2, 6, 70, 7], 512, 1)].map(Problem::from);
    for problem in ropes.into_iter().chain(merges).chain(locates) {
        assert!(Program::new(&problem, &Caps::webgpu(), Choice::Suggested).is_ok(), "{problem:?}");
    }
}

/// Lines of the support table: name, and what its column says.
fn table() -> Vec<(&'static str, [&'static str; 4])> {
    let page = include_str!("../../docs/features.md");
    let (_, section) = page.split_once("## What it supports").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section follows");
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| (cells(line)[0], [1, 2, 3, 4].map(|column| cells(line)[column]))).collect()
}

/// A problem by an algorithm on the least device that has it. What takes only f16 gets f32 tensors as f16.
fn plan(spec: &Spec, algorithm: Algorithm) -> Result<(), Error> {
    if algorithm != Algorithm::Matrix {
        return Program::new(spec, &Caps::webgpu(), Choice::Asked(algorithm)).map(drop);
    }
    let caps =
        Caps { f16: true, matrix: Some(16), subgroups: Some([32, 32]), workgroup_bytes: 32768, ..Caps::webgpu() };
    let of = |tensor| {
        spec.view(tensor).map_or(DType::F16, |view| if view.dtype == DType::F32 { DType::F16 } else { view.dtype })
    };
    let halves = spec.clone().q_type(of(Tensor::Q)).kv_type(of(Tensor::K)).out_type(of(Tensor::Out));
    Program::new(halves, &caps, Choice::Asked(algorithm)).map(drop)
}

#[test]
fn the_support_table_is_true() {
    for (name, columns) in table() {
        let specs = specs(name).unwrap_or_else(|| panic!("no spec stands for {name:?}"));
        for (algorithm, says) in Algorithm::ALL.into_iter().zip(columns) {
            let results: Vec<_> = specs.iter().map(|spec| plan(spec, algorithm)).collect();
            match says {
                "yes" => assert!(results.iter().all(Result::is_ok), "{name}, {algorithm}: {results:?}"),
                "some" => assert!(
                    results.iter().any(Result::is_ok) && results.iter().any(Result::is_err),
                    "{name}, {algorithm}: {results:?}"
                ),
                "no" => assert!(results.iter().all(Result::is_err), "{name}, {algorithm}: some can run"),
                _ => panic!("{name} says {says:?}"),
            }
        }
    }
}

#[test]
fn the_support_table_has_a_column_per_algorithm_and_every_feature() {
    let names: BTreeSet<_> = table().iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), table().len(), "a line stands twice");
    assert_eq!(names.len(), 29, "a feature was added or removed: say so in the table");
    let heading = Algorithm::ALL.map(|algorithm| format!("`{algorithm}`")).join(" | ");
    assert!(
        include_str!("../../docs/features.md").contains(&format!("| | {heading} |")),
        "the columns are the algorithms"
    );
}
