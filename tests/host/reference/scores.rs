//! Scores other than the scaled product of queries and keys.

use wgpu_attention::{Grid, Layout, ScoreStage, Shape, Spec, Tensor, reference::attention};

use crate::{
    case::Case,
    numbers::numbers,
    reference::{
        SMALL,
        problem::{SHAPE, Way, masked, near},
        small,
    },
};

/// The program of `SMALL` with `s[j] = scale * fsum(w[d] * tanh(q[i][d] + k[j][d]) for d in range(2))`.
#[test]
fn additive_scores_give_the_numbers_of_another_program() {
    let inputs = SMALL.score_weights(&[0.75, -1.5]);
    let found = attention(&small().additive(), &inputs);
    let out = [-1.009366854370602, -0.5792649290563621, -2.497670818228542, 0.2723899957427186];
    let weights = [
        [0.4532153682101644, 0.05079190651106875, 0.495992725278767],
        [0.0789232544937028, 0.05332461822761331, 0.8677521272786839],
    ];
    let scores = [
        [1.8212524241672972, -0.36737799360556367, 1.9114462449918257],
        [-0.39610016866859943, -0.7881779818745706, 2.0013300193714008],
    ];
    near("out", found.out(), &out, 1e-14);
    near("lse", found.lse().expect("asked for"), &[2.612640264133273, 2.1431791921266794], 1e-14);
    near("weights", found.weights().expect("asked for"), weights.as_flattened(), 1e-14);
    near("scores", found.scores().expect("asked for"), scores.as_flattened(), 1e-14);
    let half = attention(&small().additive().scale(0.5), &inputs);
    near("lse", half.lse().expect("asked for"), &[1.7781039441341058, 1.4385814817560265], 1e-14);
}

#[test]
fn factors_of_heads_give_the_numbers_of_another_program() {
    let found = attention(&small().scale(0.5).head_scales(), &SMALL.head_scales(&[1.75]));
    near("lse", found.lse().expect("asked for"), &[2.3747159321186477, 2.107921811185658], 1e-14);
    let scores = [0.1640625, -1.859375, 2.2421875, 1.9140625, 0.109375, -1.09375];
    near("scores", found.scores().expect("asked for"), &scores, 0.0);
}

/// Each way, of all heads: a head's weights and factor are its own.
#[test]
fn each_head_has_its_own_weights_and_factor() {
    let all = Case::random(Spec::new(SHAPE).additive().head_scales().lse(), 31);
    let (weights, factors) = (all.floats(Tensor::ScoreWeights), all.floats(Tensor::HeadScales));
    let (q_row, rows) = (SHAPE.head_dim as usize, SHAPE.q_len as usize);
    for way in Way::ALL {
        let whole = way.run(&all).take(Tensor::Lse).expect("asked for");
        for head in 0..SHAPE.q_heads as usize {
            // The head alone, of the first batch item.
            let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, ..SHAPE };
            let (kv, keys) = (head / 2, SHAPE.kv_len as usize);
            let take = |data: &[f32], index: usize, len: usize| data[index * len..][..len].to_vec();
            let spec = Spec::new(shape).additive().scale(factors[head]).lse();
            let alone = Case::new(spec)
                .with(Tensor::Q, take(all.floats(Tensor::Q), head, rows * q_row))
                .with(Tensor::K, take(all.floats(Tensor::K), kv, keys * q_row))
                .with(Tensor::V, take(all.floats(Tensor::V), kv, keys * SHAPE.value_dim as usize))
                .with(Tensor::ScoreWeights, take(weights, head, q_row));
            let limit = way.limit(&all, Tensor::Lse) + way.limit(&alone, Tensor::Lse);
            near("lse", &way.run(&alone).take(Tensor::Lse).expect("asked for"), &whole[head * rows..][..rows], limit);
        }
    }
}

/// Cosine attention with a temperature: rows of length 1, scale 1, and the factor 1 / tau.
#[test]
fn cosine_attention_is_a_product_of_unit_rows() {
    let unit = |data: &[f32]| {
        let row = |row: &[f32]| {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            row.iter().map(|x| x / norm).collect::<Vec<_>>()
        };
        data.chunks(SHAPE.head_dim as usize).flat_map(row).collect::<Vec<_>>()
    };
    let tau = [0.01_f32, 0.1, 0.5, 2.0];
    let raw = Case::random(Spec::new(SHAPE), 32);
    let spec = Spec::new(SHAPE).scale(1.0).head_scales().scores(ScoreStage::Scaled);
    let [q, k] = [Tensor::Q, Tensor::K].map(|tensor| raw.floats(tensor));
    let cosine = raw.as_spec(spec).with(Tensor::Q, unit(q)).with(Tensor::K, unit(k));
    let cosine = cosine.with(Tensor::HeadScales, tau.map(f32::recip));
    let found = Way::Oracle.run(&cosine).take(Tensor::Scores).expect("asked for");
    let row = |data: &[f32], index: usize| data[index * 6..][..6].iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for (n, found) in found.iter().enumerate() {
        let (j, i, head) = (n % 7, n / 7, n / 35);
        let (q, k) = (row(q, i), row(k, head / 2 * 7 + j));
        let expected = dot(&q, &k) / dot(&q, &q).sqrt() / dot(&k, &k).sqrt() / f64::from(tau[head % 4]);
        near("score", &[*found], &[expected], 4e-5);
    }
}

/// A grid is a bias that is finite where the papers let a query see a key.
#[test]
fn a_grid_is_a_bias_of_its_squares() {
    let shape = Shape { q_len: 20, kv_len: 20, ..SHAPE };
    for (grid, neighbours) in [(Grid::neighbourhood(4, 5, 3), true), (Grid::windows(4, 5, 3, 1), false)] {
        let placed = Case::random(masked(shape).grid(grid.biased()).lse().weights(), 33);
        let table = placed.floats(Tensor::GridBias);
        let mut bias = Vec::new();
        for (h, i, j) in (0..4).flat_map(|h| (0..20).flat_map(move |i| (0..20).map(move |j| (h, i, j)))) {
            let seen = |x: i32, y: i32, n: i32| match neighbours {
                true => (0..3).contains(&(y - (x - 1).clamp(0, n - 3))),
                false => (x + 2) / 3 == (y + 2) / 3,
            };
            let near = seen(i / 5, j / 5, 4) && seen(i % 5, j % 5, 5);
            let at = h * 25 + (j / 5 - i / 5 + 2) * 5 + j % 5 - i % 5 + 2;
            bias.push(if near { table[at as usize] } else { f32::NEG_INFINITY });
        }
        let layout = Layout::broadcast(&[4, 20, 20]).expect("three sizes");
        let biased = placed.as_spec(masked(shape).bias(layout, 20).lse().weights()).with(Tensor::Bias, bias);
        for way in Way::ALL {
            assert_eq!(way.run(&placed), way.run(&biased), "{way:?} {grid:?}");
        }
    }
}

/// Luong, Pham and Manning 2015, equation 8, location: softmax(W h), which is attention to the rows of W.
#[test]
fn location_based_scores_are_products_with_the_rows_of_a_matrix() {
    let (states, positions, dim) = (3, 5, 4);
    let [h, w, v] = [(states, 1), (positions, 2), (positions, 3)].map(|(rows, seed)| numbers(rows * dim, seed));
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 3, kv_len: 5, head_dim: 4, value_dim: dim as u32 };
    let problem = Case::new(Spec::new(shape).scale(1.0).weights()).with(Tensor::V, v);
    let problem = problem.with(Tensor::Q, &h[..]).with(Tensor::K, &w[..]);
    let mut expected = Vec::new();
    for state in h.chunks(dim) {
        let row = |row: &[f32]| row.iter().zip(state).map(|(&w, &h)| f64::from(w) * f64::from(h)).sum::<f64>().exp();
        let exponentials: Vec<_> = w.chunks(dim).map(row).collect();
        let sum: f64 = exponentials.iter().sum();
        expected.extend(exponentials.iter().map(|e| e / sum));
    }
    for way in Way::ALL.into_iter().filter(|way| *way != Way::Twin) {
        let found = way.run(&problem).take(Tensor::Weights).expect("asked for");
        near("weights", &found, &expected, way.limit(&problem, Tensor::Weights));
    }
}
