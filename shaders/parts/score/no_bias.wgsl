// Stands in for bias.wgsl where there is no bias.
//
// Host       src/problem/attention/spec.rs

struct Biased { value: f32, hidden: bool }

fn biased(tile: Tile, row: u32, key: u32) -> Biased {
  return Biased(0.0, false);
}
