// The soft limit of scores, where there is one.
//
// Needs      SOFTCAPPED (preamble), params.wgsl
// Host       src/problem/attention/spec.rs
// Reference  Gemma 2 (2024), section 2: cap * tanh(score / cap)

// A driver's tanh may overflow far out, and near 0 lose what exp(2 x) - 1 cancels.
fn tanh_of(x: f32) -> f32 {
  let z = x * x;
  let near = x + x * z * (-0.33333306 + z * (0.13331020 + z * (-0.053666367 + z * (0.020307410 + z * -0.0054012276))));
  let far = 1.0 - 2.0 / (exp(2.0 * min(abs(x), 20.0)) + 1.0);
  return select(sign(x) * far, near, abs(x) < 0.625);
}

fn capped(score: f32) -> f32 {
  if !SOFTCAPPED { return score; }
  return params.softcap * tanh_of(score / params.softcap);
}

// Its derivative.
fn capped_slope(score: f32) -> f32 {
  if !SOFTCAPPED { return 1.0; }
  let t = tanh_of(score / params.softcap);
  return 1.0 - t * t;
}
