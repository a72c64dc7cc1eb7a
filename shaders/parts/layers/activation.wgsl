// A function of each element of a linear layer's sum.
//
// Needs      ACTIVATION (preamble): 0 none, 1 gelu, 2 gelu by tanh, 3 relu, 4 silu
// Host       src/kernels/layers/linear.rs
// Reference  Hendrycks and Gimpel 2016; erf: Abramowitz and Stegun, equation 7.1.26, whose error is at most 1.5e-7
//
// Arguments of exponentials are clamped to where the results no longer change: no infinity enters arithmetic. What is left far below 0
// would be a large number times a small one, so it is -0.

// 1 / (1 + exp(-x))
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
  return 1.0 / (1.0 + exp(-clamp(x, vec4(-80.0), vec4(80.0))));
}

fn erf(x: vec4<f32>) -> vec4<f32> {
  let z = min(abs(x), vec4(8.0));
  let u = 1.0 / (1.0 + 0.3275911 * z);
  let sum = u * (0.254829592 + u * (-0.284496736 + u * (1.421413741 + u * (-1.453152027 + u * 1.061405429))));
  return sign(x) * (1.0 - sum * exp(-z * z));
}

// A branch on a constant, which compilers decide.
fn activated(x: vec4<f32>) -> vec4<f32> {
  if ACTIVATION == 1 { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
  if ACTIVATION == 2 {
    // (1 + tanh(u)) / 2 is sigmoid(2 u); past 9, 1 and 0.
    let y = clamp(x, vec4(-9.0), vec4(9.0));
    return select(x * sigmoid(1.5957691216057308 * (y + 0.044715 * y * y * y)), vec4(-0.0), x < vec4(-9.0));
  }
  if ACTIVATION == 3 { return max(x, vec4<f32>()); }
  if ACTIVATION == 4 { return select(x * sigmoid(x), vec4(-0.0), x < vec4(-80.0)); }
  return x;
}
