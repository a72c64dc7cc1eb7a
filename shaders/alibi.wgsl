// ALiBi: a penalty that grows with the distance of a key; no_alibi.wgsl stands in where there is none.
//
// Needs      block.wgsl, workspace.wgsl
// Host       src/spec.rs
// Reference  Press et al. 2022, section 3

fn slope_of(tile: Tile) -> f32 {
  return bitcast<f32>(workspace[params.slopes_at + tile.item * params.slopes_item + tile.at.head]);
}

fn penalty(tile: Tile, slope: f32, row: u32, key: u32) -> f32 {
  let i = i32(row - tile.q_start) + params.stand + tile.shift;
  return slope * abs(f32(i - i32(key - tile.k_start)));
}
