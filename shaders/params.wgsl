// The uniform of every kernel, and the addresses it gives.
//
// Host       src/params.rs
//
// A work item is one workgroup's share: a block of query rows of one head of one batch item.

struct Params {
  q_at: vec4<u32>,        // offset, then elements per batch item, head, row
  k_at: vec4<u32>,
  v_at: vec4<u32>,
  out_at: vec4<u32>,
  lse_at: vec4<u32>,
  weights_at: vec4<u32>,
  q_heads: u32,
  group: u32,             // query heads that share a key head
  q_len: u32,
  kv_len: u32,
  blocks: u32,            // work items of one head
  first: u32,             // work items of this dispatch: first..end
  end: u32,
  grid_x: u32,
  band_lo: i32,           // visible j - i: band_lo..=band_hi
  band_hi: i32,
  scale: f32,
  pad: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

struct Place { batch: u32, head: u32, kv_head: u32, block: u32 }

fn work_item(workgroup: vec3<u32>) -> u32 {
  return params.first + workgroup.y * params.grid_x + workgroup.x;
}

fn place(item: u32) -> Place {
  let plane = item / params.blocks;
  let head = plane % params.q_heads;
  return Place(plane / params.q_heads, head, head / params.group, item % params.blocks);
}

// The first element of a row.
fn row_at(at: vec4<u32>, batch: u32, head: u32, row: u32) -> u32 {
  return at.x + batch * at.y + head * at.z + row * at.w;
}
