//! How far two attentions are apart.

/// The Jensen-Shannon divergence of two rows of weights in nats, 0 for equal ones and at most `ln 2` (Lin 1991). Each row counts as
/// what it is of its sum, so that sinks do not matter; with a row without weight it is 0 if both are, else `ln 2`.
///
/// ```
/// use wgpu_attention::inspect::divergence;
/// assert_eq!(divergence(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
/// approx::assert_relative_eq!(divergence(&[1.0, 0.0], &[0.0, 1.0]), 2f64.ln(), max_relative = 1e-12);
/// ```
#[must_use]
pub fn divergence(a: &[f32], b: &[f32]) -> f64 {
    let sum = |row: &[f32]| row.iter().map(|&w| f64::from(w)).sum::<f64>();
    let (sum_a, sum_b) = (sum(a), sum(b));
    if sum_a <= 0.0 || sum_b <= 0.0 {
        return if sum_a <= 0.0 && sum_b <= 0.0 { 0.0 } else { std::f64::consts::LN_2 };
    }
    let term = |x: f64, mean: f64| if x > 0.0 { x * (x / mean).ln() } else { 0.0 };
    let of = |(&a, &b): (&f32, &f32)| {
        let (a, b) = (f64::from(a) / sum_a, f64::from(b) / sum_b);
        let mean = f64::midpoint(a, b);
        f64::midpoint(term(a, mean), term(b, mean))
    };
    a.iter().zip(b).map(of).sum::<f64>().max(0.0)
}
