// Stands in for tile_values.wgsl where nobody asked for out.
//
// Host       src/kernels/forward/tile.rs

fn tile_values(
  tile: Tile,
  lane: Lane,
  k0: u32,
  p: ptr<function, array<f32, RM * RN>>,
  o: ptr<function, array<vec4<f32>, RM * COLS>>,
) {}
