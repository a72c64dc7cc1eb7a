// The learned position of a row; no_places.wgsl stands in where there are none.
//
// Needs      params.wgsl, load_positions
// Host       src/kernels/embed.rs

fn place_of(row: u32, d: u32) -> vec4<f32> {
  return load_positions(row_at(params.v_at, 0, 0, params.positions + row % params.q_len), d);
}
