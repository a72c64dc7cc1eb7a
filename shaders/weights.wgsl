// Scores, then weights, of every pair: f32 as bits, so that -inf is bits.
//
// Host       src/shader.rs

@group(0) @binding(6) var<storage, read_write> weights: array<u32>;

// The element of row `row` and key 0.
fn weights_row(at: Place, row: u32) -> u32 {
  return row_at(params.weights_at, at.batch, at.head, row);
}
