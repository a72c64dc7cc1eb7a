// What a layer adds to each row; no_layer_bias.wgsl stands in where it adds nothing.
//
// Needs      load_layer_bias
// Host       src/kernels/layers/linear.rs, src/kernels/layers/norm.rs

fn layer_bias_of(c: u32) -> vec4<f32> {
  return load_layer_bias(layer_bias_row(0, 0, 0), c);
}
