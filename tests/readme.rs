//! The support table of the README says what the kernels' constructors say.

use std::collections::BTreeSet;

use wgpu_attention::{
    Algorithm, Align, Caps, DType, Layout, Mask, Order, ScoreStage, Shape, Slopes, Spec, kernels::Program,
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
        "log-sum-exp" => vec![spec().lse()],
        "raw scores" => {
            [ScoreStage::Scaled, ScoreStage::Capped, ScoreStage::Masked].map(|stage| spec().scores(stage)).into()
        }
        "attention weights" => vec![spec().weights()],
        "all tensors in one buffer" => vec![spec().shared_buffer()],
        "f16 storage" => half(DType::F16),
        "bf16 storage" => half(DType::Bf16),
        "softcap" => vec![spec().softcap(30.0)],
        "additive bias" => vec![spec().bias(square, 70)],
        "boolean keep-mask" => vec![spec().keep(square, 70)],
        "ALiBi" => [Slopes::Head, Slopes::BatchHead].map(|slopes| spec().alibi(slopes).align(Align::End)).into(),
        "learned sinks" => vec![spec().sinks()],
        "key lengths on the device" => vec![spec().kv_lens()],
        "append to a KV cache" => vec![spec().append()],
        "packed sequences" => vec![spec().packed(3)],
        "block mask" => vec![spec().block_mask(64)],
        _ => return None,
    })
}

fn half(dtype: DType) -> Vec<Spec> {
    let spec = || Spec::new(SHAPE);
    vec![spec().q_type(dtype), spec().kv_type(dtype), spec().out_type(dtype), spec().bias_type(dtype)]
}

/// Lines of the support table: name, and what each column says.
fn table() -> Vec<(&'static str, [&'static str; 2])> {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("## What it supports").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section follows");
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| (cells(line)[0], [cells(line)[1], cells(line)[2]])).collect()
}

#[test]
fn the_support_table_is_true() {
    for (name, columns) in table() {
        let specs = specs(name).unwrap_or_else(|| panic!("no spec stands for {name:?}"));
        for (algorithm, says) in Algorithm::ALL.into_iter().zip(columns) {
            let results: Vec<_> =
                specs.iter().map(|spec| Program::new(spec, &Caps::webgpu(), Some(algorithm)).map(drop)).collect();
            match says {
                "yes" => assert!(results.iter().all(Result::is_ok), "{name}, {algorithm}: {results:?}"),
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
    assert_eq!(names.len(), 21, "a feature was added or removed: say so in the table");
    let heading = Algorithm::ALL.map(|algorithm| format!("`{algorithm}`")).join(" | ");
    assert!(include_str!("../README.md").contains(&format!("| | {heading} |")), "the columns are the algorithms");
}
