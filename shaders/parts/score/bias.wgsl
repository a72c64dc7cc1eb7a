// The additive bias of a query and a key; no_bias.wgsl stands in where there is none.
//
// Needs      BIAS_TYPE (preamble: 0 f32, 1 f16, 2 bf16), block.wgsl, score.wgsl
// Host       src/problem/attention/spec.rs
//
// A score changes as much as its bias does. -inf hides the key: it is looked for in the bits, before they become a float.

struct Biased { value: f32, hidden: bool }

// Element i as the bits of an f32.
fn bias_bits(i: u32) -> u32 {
  if BIAS_TYPE == 0 { return bias[i]; }
  let half = (bias[i / 2] >> (16 * (i % 2))) & 0xffff;
  if BIAS_TYPE == 2 { return half << 16; }
  if half == 0xfc00 { return NEGATIVE_INFINITY; }
  return bitcast<u32>(unpack2x16float(half).x);
}

fn biased(tile: Tile, row: u32, key: u32) -> Biased {
  if key >= params.bias_columns { return Biased(0.0, true); }
  let bits = bias_bits(bias_row(tile.at.batch, tile.at.head, row) + key);
  if bits == NEGATIVE_INFINITY { return Biased(0.0, true); }
  return Biased(bitcast<f32>(bits), false);
}
