// Turns a vec4 of a row by a rotary embedding; no_angles.wgsl stands in where nothing turns.
//
// Needs      ROTARY_DIM INTERLEAVED (preamble), load_q, one of angles_rows.wgsl, angles_ids.wgsl, angles_appended.wgsl
// Host       src/kernels/helpers/rotary.rs
// Reference  Su et al. 2021, equation 34

const PAIRS = ROTARY_DIM / 2;

fn turned(x: vec4<f32>, start: u32, d: u32, batch: u32, row: u32) -> vec4<f32> {
  var y = x;
  let at = angles_of(batch, row);
  let cosines = cos_row(at.x, 0, at.y);
  let sines = sin_row(at.x, 0, at.y);
  for (var e = 0u; e < 4; e++) {
    let c = 4 * d + e;
    if c < ROTARY_DIM {
      // The number of the pair, its other element, and whether this is the first of the two.
      let pair = select(c % PAIRS, c / 2, INTERLEAVED);
      let other = select((c + PAIRS) % ROTARY_DIM, c ^ 1, INTERLEAVED);
      let first = select(c < PAIRS, c % 2 == 0, INTERLEAVED);
      let z = load_q(start, other / 4)[other % 4];
      y[e] = x[e] * cos[cosines + pair] + z * select(sin[sines + pair], -sin[sines + pair], first);
    }
  }
  return y;
}
