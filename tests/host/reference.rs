//! The oracle against numbers from elsewhere and against the laws of attention; the twin of each algorithm against the oracle.

mod caches;
mod features;
mod laws;
mod layouts;
mod merges;
mod mixed;
mod problem;
mod scores;
mod slopes;

use problem::{Way, near};
use wgpu_attention::{
    Align, Caps, DeviceKind, Inputs, Mask, Outputs, ScoreStage, Shape, Spec, Tensor,
    kernels::{Decode, Row, Shader, Tile},
    reference::{Tiles, attention, check, naive, row, tiled},
};

use crate::case::Case;

/// Two queries of three keys, from Python's math module:
///
/// ```python
/// s = [scale * sum(a * b for a, b in zip(q[i], k[j])) for j in range(3)]
/// vis = [j for j in range(3) if sees(i, j)]; m = max(s[j] for j in vis)
/// e = {j: exp(s[j] - m) for j in vis}; t = fsum(e.values()); w = [e.get(j, 0.0) / t for j in range(3)]
/// out = [fsum(w[j] * v[j][d] for j in range(3)) for d in range(2)]; lse = m + log(t)
/// ```
const SMALL: Inputs<'_> =
    Inputs::new(&[0.5, -1.25, 2.0, 0.75], &[1.0, 0.25, -0.5, 1.5, 0.125, -2.0], &[1.0, -2.0, 0.5, 4.0, -3.0, 0.25]);

fn small() -> Spec {
    Spec::new(Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 2, kv_len: 3, head_dim: 2, value_dim: 2 })
        .lse()
        .weights()
        .scores(ScoreStage::Masked)
}

/// Compares all four outputs to the last digits.
fn same(found: &Outputs<f64>, out: &[f64], lse: &[f64], weights: &[f64], scores: &[f64]) {
    near("out", found.out(), out, 1e-14);
    near("lse", found.lse().unwrap_or_default(), lse, 1e-14);
    near("weights", found.weights().unwrap_or_default(), weights, 1e-15);
    near("scores", found.scores().unwrap_or_default(), scores, 0.0);
}

#[test]
fn oracle_gives_the_numbers_of_another_program() {
    same(
        &attention(&small().scale(0.5), &SMALL),
        &[-1.8894564136468395, 0.017061857479572257, 0.4169740987100792, -0.3443911631723733],
        &[1.6184004742489637, 1.522834690712802],
        &[
            [0.2176971343233158, 0.06850144258854209, 0.7138014230881421],
            [0.6511047843176438, 0.23215856041128677, 0.11673665527106936],
        ]
        .concat(),
        &[0.09375, -1.0625, 1.28125, 1.09375, 0.0625, -0.625],
    );
}

#[test]
fn oracle_gives_the_numbers_of_another_program_under_a_mask() {
    // Query i sees keys i and i + 1.
    let band = small().scale(-3.0).mask(Mask::window(Some(0), Some(1))).align(Align::Start);
    same(
        &attention(&band, &SMALL),
        &[0.5004848759838912, 3.9941814881933047, -2.9443276290086486, 0.30964896891930516],
        &[6.375970222481435, 3.7660342560803186],
        &[[0.0009697519677825861, 0.9990302480322174, 0.0], [0.0, 0.01590639171181471, 0.9840936082881853]].concat(),
        &[-0.5625, 6.375, f64::NEG_INFINITY, f64::NEG_INFINITY, -0.375, 3.75],
    );
    let scaled = attention(&band.scores(ScoreStage::Scaled), &SMALL).take(Tensor::Scores);
    assert_eq!(scaled, Some(vec![-0.5625, 6.375, -7.6875, -6.5625, -0.375, 3.75]), "hidden keys have scores too");
}

#[test]
fn the_default_scale_is_one_over_the_root_of_head_dim() {
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 4, value_dim: 1 };
    let inputs = Inputs::new(&[1.0, 2.0, 3.0, 4.0], &[1.0; 4], &[7.0]);
    let found = attention(&Spec::new(shape).lse(), &inputs);
    assert_eq!((found.out(), found.lse()), (&[7.0][..], Some(&[5.0][..])));
}

/// Equal scores: each row is the mean of the values it sees.
#[test]
fn masks_choose_the_values_that_count() {
    let means = |q_len, mask, align| {
        let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len, kv_len: 4, head_dim: 1, value_dim: 1 };
        let spec = Spec::new(shape).mask(mask).align(align);
        let problem = Case::new(spec).with(Tensor::Q, vec![0.0; q_len as usize]);
        let problem = problem.with(Tensor::K, [1.0; 4]).with(Tensor::V, [1.0, 2.0, 4.0, 8.0]);
        let all = Way::ALL.map(|way| way.run(&problem).out().to_vec());
        let [oracle, ..] = &all;
        all.iter().for_each(|out| near("mean", out, oracle, 1e-6));
        oracle.clone()
    };
    let causal = Mask::causal();
    let band = Mask::window(Some(1), Some(1));
    near("start", &means(3, causal, Align::Start), &[1.0, 1.5, 7.0 / 3.0], 1e-15);
    near("end", &means(3, causal, Align::End), &[1.5, 7.0 / 3.0, 3.75], 1e-15);
    near("before", &means(3, causal, Align::At(-1)), &[0.0, 1.0, 1.5], 1e-15);
    near("far before", &means(3, causal, Align::At(-3)), &[0.0, 0.0, 0.0], 0.0);
    near("more queries", &means(6, causal, Align::End), &[0.0, 0.0, 1.0, 1.5, 7.0 / 3.0, 3.75], 1e-15);
    near("band", &means(3, band, Align::Start), &[1.5, 7.0 / 3.0, 14.0 / 3.0], 1e-15);
    near("band past the end", &means(3, band, Align::At(3)), &[6.0, 8.0, 0.0], 1e-15);
    near("both", &means(3, causal.and(Mask::window(Some(1), None)), Align::End), &[1.5, 3.0, 6.0], 1e-15);
}

#[test]
fn one_row_is_a_row_of_all() {
    let problem = Case::random(problem::masked(Shape { q_len: 7, kv_len: 9, ..problem::SHAPE }).lse().weights(), 3);
    let all = attention(&problem.spec, &problem.inputs());
    let (shape, mut start) = (problem.spec.shape(), 0);
    for (batch, head) in (0..shape.batch).flat_map(|batch| (0..shape.q_heads).map(move |head| (batch, head))) {
        for i in 0..shape.q_len {
            let one = row(&problem.spec, &problem.inputs(), batch, head, i);
            assert_eq!(one.out, all.out()[start * one.out.len()..][..one.out.len()]);
            assert_eq!(Some(one.lse), all.lse().map(|lse| lse[start]));
            let weights = all.weights().map(|weights| &weights[start * 9..][..9]);
            assert_eq!(Some(&one.weights[..]), weights);
            start += 1;
        }
    }
}

#[test]
#[should_panic(expected = "q_len is 0")]
fn oracle_refuses_what_a_plan_refuses() {
    let _ = attention(&Spec::new(Shape { q_len: 0, ..problem::SHAPE }), &SMALL);
}

#[test]
#[should_panic(expected = "input q has 4 elements")]
fn oracle_refuses_short_inputs() {
    let _ = attention(&Spec::new(problem::SHAPE), &SMALL);
}

/// Tiles that kernels have, and some that none has.
fn tiles() -> Vec<Tiles> {
    let mut all: Vec<_> = [(1, 1), (4, 8), (3, 5), (64, 16)].map(|(rows, keys)| Tiles { rows, keys }).into();
    for value_dim in [1, 128, 256, 512] {
        for workgroup_bytes in [16384, 32768] {
            let caps = Caps { workgroup_bytes, ..Caps::webgpu() };
            let kernel = Tile::new(&Spec::new(Shape { value_dim, ..problem::SHAPE }), &caps).expect("it fits");
            let workgroup = kernel.workgroup();
            all.push(Tiles { rows: workgroup.rows, keys: workgroup.keys });
        }
    }
    let cpu = Caps { kind: DeviceKind::Cpu, ..Caps::webgpu() };
    for subgroups in [None, Some([4, 4]), Some([8, 8])] {
        let kernel = Row::new(&Spec::new(problem::SHAPE), &Caps { subgroups, ..cpu.clone() }).expect("it fits");
        all.push(Tiles { rows: kernel.workgroup().rows, keys: kernel.keys_at_a_time() });
    }
    let decode = Decode::new(&Spec::new(problem::SHAPE), &cpu).expect("it fits").workgroup();
    all.push(Tiles { rows: decode.rows, keys: decode.keys });
    all.sort_by_key(|tiles| (tiles.rows, tiles.keys));
    all.dedup();
    all
}

#[test]
fn the_twin_is_right_at_tile_edges() {
    let masks = [
        (Mask::FULL, Align::Start),
        (Mask::causal(), Align::Start),
        (Mask::causal(), Align::End),
        (Mask::causal(), Align::At(-3)),
        (Mask::window(Some(9), Some(2)), Align::End),
        (Mask::causal().and(Mask::window(Some(0), None)), Align::Start),
    ];
    let mut compared = 0;
    for tiles in tiles() {
        let around = |tile: u32| [1, tile - 1, tile, tile + 1, 2 * tile + 1].into_iter().filter(|&n| n > 0);
        for (q_len, kv_len) in
            around(tiles.rows).flat_map(|q_len| around(tiles.keys).map(move |kv_len| (q_len, kv_len)))
        {
            for (seed, (mask, align)) in (0..).zip(masks) {
                let (head_dim, value_dim) = [(1, 1), (5, 3), (8, 12)][seed as usize % 3];
                // Enough rows that the naive formula meets its usual error, of which the rule allows twice.
                let shape = Shape { batch: 4, q_heads: 4, kv_heads: 2, q_len, kv_len, head_dim, value_dim };
                let problem = Case::random(Spec::new(shape).mask(mask).align(align).lse(), seed);
                let found = tiled(&problem.spec, &problem.inputs(), tiles);
                let verdict = check(&problem.spec, &problem.inputs(), &found);
                assert!(verdict.is_ok(), "{tiles:?} {shape:?} {mask:?} {align:?}: {verdict:?}");
                compared += 1;
            }
        }
    }
    println!("{compared} problems, {} tiles", tiles().len());
}

#[test]
fn the_twin_is_right_for_odd_sizes_and_scales() {
    let shapes = [(1, 1), (3, 7), (17, 1), (64, 64), (80, 40), (512, 5), (6, 512)];
    for (seed, (head_dim, value_dim)) in (0..).zip(shapes) {
        for scale in [None, Some(0.0), Some(-2.5), Some(1e-6), Some(40.0)] {
            let shape = Shape { q_len: 5, kv_len: 37, head_dim, value_dim, ..problem::SHAPE };
            let spec = scale.map_or(problem::masked(shape), |scale| problem::masked(shape).scale(scale)).lse();
            let problem = Case::random(spec, seed);
            let found = tiled(&problem.spec, &problem.inputs(), Tiles { rows: 4, keys: 8 });
            let verdict = check(&problem.spec, &problem.inputs(), &found);
            assert!(verdict.is_ok(), "{shape:?} {scale:?}: {verdict:?}");
        }
    }
}

#[test]
fn low_scores_are_seen_all_the_same() {
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 2, kv_len: 4, head_dim: 1, value_dim: 1 };
    let spec = Spec::new(shape).mask(Mask::causal()).align(Align::Start).lse();
    let problem = Case::new(spec).with(Tensor::Q, [-1e10; 2]).with(Tensor::K, [1e10; 4]);
    let problem = problem.with(Tensor::V, [1.0, 2.0, 4.0, 8.0]);
    for way in Way::ALL {
        let found = way.run(&problem);
        near("out", found.out(), &[1.0, 1.5], 1e-6);
        near("lse", found.lse().unwrap_or_default(), &[-1e20, -1e20], 1e14);
    }
}

#[test]
fn the_naive_formula_keeps_its_own_rule() {
    let problem = Case::random(problem::masked(problem::SHAPE).lse().weights().scores(ScoreStage::Masked), 5);
    let found = naive(&problem.spec, &problem.inputs());
    let margins = check(&problem.spec, &problem.inputs(), &found).expect("it is half the limit");
    assert_eq!(margins.len(), 4);
    assert!(margins.iter().all(|margin| margin.error <= margin.limit / 2.0 && margin.limit < 1e-5), "{margins:?}");
}
