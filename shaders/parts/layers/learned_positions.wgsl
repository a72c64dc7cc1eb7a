// The learned position of a row; no_learned_positions.wgsl stands in where there are none.
//
// Needs      params.wgsl, load_positions
// Host       src/kernels/layers/embed.rs

fn place_of(row: u32, d: u32) -> vec4<f32> {
  return load_positions(positions_row(0, 0, params.first_position + row % params.period), d);
}
