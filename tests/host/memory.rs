//! The table of workspaces in docs/features.md, which no feature makes grow with the product of the lengths.

use wgpu_attention::{
    Align, Angles, BlockForm, Caps, Grid, Layout, MapOf, Mask, Measures, Order, Pairs, Pool, Problem, Rotary,
    ScoreStage, Shape, Slopes, Spec, kernels::Choice, program::Program, shader::Params,
};

fn shape(len: u32) -> Shape {
    Shape { batch: 1, q_heads: 32, kv_heads: 8, q_len: len, kv_len: len, head_dim: 128, value_dim: 128 }
}

/// The problem of a line of the table at some length, and the bytes that a binding may have.
fn problem(line: &str, len: u32) -> Option<(Spec, u64)> {
    let spec = Spec::new(shape(len));
    let pairs = |sizes: &[u32]| Layout::broadcast(sizes).expect("one to four sizes");
    let rotary = Rotary { dim: 64, pairs: Pairs::Halves, angles: Angles::Appended { positions: len } };
    let spec = match line {
        "plain, any mask, strides, types, softcap, lse, raw scores" => {
            spec.softcap(30.0).lse().scores(ScoreStage::Scaled)
        }
        "sinks" => spec.sinks(),
        "additive scores" => spec.additive(),
        "a factor on the scores of each head" => spec.head_scales(),
        "relative bias of a grid, window 7" => spec.grid(Grid::neighbourhood(64, len / 64, 7).biased()),
        "ALiBi" => spec.alibi(Slopes::BatchHead).align(Align::End),
        "key lengths, append" => spec.append(1),
        "append with rotary embedding of one row, of one query of each head" => {
            Spec::new(Shape { q_len: 1, ..shape(len) }).append_rotated(1, rotary)
        }
        "packed sequences, 16 of them" => spec.packed(16),
        "keep-mask or bias, the same for all heads" => spec.keep(pairs(&[len, len]), len),
        "block mask, the same for all heads" => {
            spec.block_mask(BlockForm { q_len: len, kv_len: len, block: 64, heads: 1, partial: len })
        }
        "bias of each head" => spec.bias(pairs(&[32, len, len]), len),
        "attention weights of all heads and rows" => spec.weights(),
        "attention weights of one head and 64 rows, without out" => spec.weights().without_out().only(3..4, 0..64),
        "one query of each head, whose keys several work items share" => Spec::new(Shape { q_len: 1, ..shape(len) }),
        "keys cut into 4 parts, for bindings of 8 MiB" => {
            return Some((spec.order(Order::Bshd), 8 << 20));
        }
        _ => return None,
    };
    Some((spec, Caps::webgpu().binding_bytes))
}

fn workspace(line: &str, len: u32) -> Program {
    let (spec, binding_bytes) = problem(line, len).unwrap_or_else(|| panic!("no problem stands for {line:?}"));
    Program::new(spec, &Caps { binding_bytes, ..Caps::webgpu() }, Choice::Suggested).expect("it is cut until it fits")
}

/// Names and bytes of the table's lines.
fn table() -> Vec<(&'static str, u64)> {
    let (_, rest) = include_str!("../../docs/features.md")
        .split_once("| feature | bytes of workspace | there |")
        .expect("the table");
    let lines = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[0], cells[2].parse().unwrap_or_else(|_| panic!("{cells:?}")))).collect()
}

#[test]
fn the_table_of_workspaces_is_true() {
    let found: Vec<_> = table().iter().map(|&(line, _)| (line, workspace(line, 8192).workspace_bytes)).collect();
    assert_eq!(found, table());
    assert_eq!(table().len(), 16);
    assert_eq!(workspace("keys cut into 4 parts, for bindings of 8 MiB", 8192).parts, 4);
}

/// Twice the length takes at most twice the workspace, but for tile classes and what work items that share keys leave: each of
/// those stops at 1 MiB.
#[test]
fn no_workspace_grows_with_the_product_of_the_lengths() {
    for (line, _) in table() {
        let [once, twice, far] = [8192, 16384, 32768].map(|len| workspace(line, len).workspace_bytes);
        if line.contains("mask or bias") || line.contains("bias of each") || line.contains("block mask") {
            assert!(far <= (2 << 20) + 4096, "{line}: {far}");
        } else {
            assert!(twice <= 2 * once.max(4), "{line}: {once}, then {twice}");
        }
    }
}

/// Each measure of 65,536 x 65,536, alone and with all others, within WebGPU's default limits: everything on the device beside
/// queries and keys stays under 64 MiB.
#[test]
fn measures_of_a_long_attention_are_small() {
    const LEN: u32 = 1 << 16;
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: LEN, kv_len: LEN, head_dim: 64, value_dim: 64 };
    let of = || Measures::of(&Spec::new(shape).mask(Mask::causal()).align(Align::End));
    let caps = Caps::webgpu();
    for (name, measures) in [
        ("rows", of().rows()),
        ("8 largest", of().top(8)),
        ("64 largest", of().top(64)),
        ("received", of().received()),
        ("map of 1,024 x 1,024", of().map(1024, 1024, Pool::Sum, MapOf::EachHead)),
        ("all", of().rows().top(64).received().map(1024, 1024, Pool::Max, MapOf::EachHead)),
    ] {
        let problem = Problem::from(&measures);
        let program = Program::new(&problem, &caps, Choice::Suggested).expect("it can run");
        let written = problem.views().filter(|view| view.is_output()).map(|view| view.bytes().expect("a size"));
        // A slot for each dispatch.
        let slot = size_of::<Params>().next_multiple_of(caps.uniform_align as usize) as u64;
        let bytes = written.sum::<u64>() + program.workspace_bytes + slot * program.steps.len() as u64;
        println!("{name}: {:.1} MiB beside queries and keys", bytes as f64 / f64::from(1 << 20));
        assert!(bytes < 64 << 20, "{name}: {bytes}");
    }
}
