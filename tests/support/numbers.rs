//! Seeded numbers, the same on every machine.

/// Uniform numbers between -1 and 1.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| 2.0 * rng.f32() - 1.0).collect()
}
