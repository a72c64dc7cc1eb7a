//! Attention through layers: rollout and flow against what they are defined to be.

use wgpu_attention::{Error, inspect::Rollout};

/// Random weights, each row summing to 1.
fn weights(tokens: usize, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let row = |_| {
        let row: Vec<f32> = (0..tokens).map(|_| rng.f32()).collect();
        let sum: f32 = row.iter().sum();
        row.into_iter().map(move |w| w / sum).collect::<Vec<_>>()
    };
    (0..tokens).flat_map(row).collect()
}

/// What one layer passes on from token `i` to token `j`.
fn passed(weights: &[f32], tokens: usize, i: usize, j: usize) -> f64 {
    let own = if i == j { 1.0 } else { 0.0 };
    (f64::from(weights[i * tokens + j]) + own) / 2.0
}

#[test]
fn rollout_is_the_sum_over_all_paths() {
    let n = 5;
    let [a, b, c] = [1, 2, 3].map(|seed| weights(n, seed));
    let rollout = Rollout::new(n, &[&a, &b, &c]).expect("square").rollout();
    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let mut sum = 0.0;
        for (x, y) in (0..n).flat_map(|x| (0..n).map(move |y| (x, y))) {
            sum += passed(&c, n, i, x) * passed(&b, n, x, y) * passed(&a, n, y, j);
        }
        approx::assert_relative_eq!(rollout[i * n + j], sum, max_relative = 1e-6);
    }
    assert_eq!(Rollout::new(3, &[]).expect("no layers").rollout(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

/// Through two layers the largest flow to a token is, over the tokens between, the sum of the narrower of two pipes.
#[test]
fn flow_is_the_largest() {
    let n = 6;
    let [a, b] = [4, 5].map(|seed| weights(n, seed));
    let layers = Rollout::new(n, &[&a, &b]).expect("square");
    for i in 0..n {
        let flow = layers.flow(i);
        for (j, &flow) in flow.iter().enumerate() {
            let most: f64 = (0..n).map(|x| passed(&b, n, i, x).min(passed(&a, n, x, j))).sum();
            approx::assert_relative_eq!(flow, most, max_relative = 1e-6);
        }
    }
    assert_eq!(Rollout::new(2, &[]).expect("no layers").flow(1), [0.0, 1.0]);
}

#[test]
fn layers_of_other_sizes_are_refused() {
    assert_eq!(Rollout::new(0, &[]), Err(Error::Zero { name: "tokens" }));
    let short = Rollout::new(2, &[&[0.5; 4], &[0.5; 3]]);
    assert_eq!(short, Err(Error::Input { name: "weights", got: 3, needs: 4 }));
}
