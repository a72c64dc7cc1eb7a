// Copies rows of q to out, turned by a rotary embedding where there is one: at their own place, or behind a cache.
//
// One workgroup     THREADS work items
// One invocation    a vec4 of a row
// Grid              work items: vec4 of a row, rows, heads, batch items
//
// Needs      HEAD_DIM (preamble), heads.wgsl, load_q, store_out, angles or no_angles.wgsl,
//            to_same.wgsl or to_cache.wgsl
// Host       src/kernels/helpers/rotary.rs
// Reference  Su et al. 2021, equation 34

const THREADS = 64u;
const D4 = (HEAD_DIM + 3) / 4;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = params.first + (workgroup.y * params.grid_x + workgroup.x) * THREADS + t;
  if item >= params.end { return; }
  let at = work_item_of(item);
  let row = params.row0 + at.block / D4;
  let d = at.block % D4;
  let to = row_to(at.batch, row);
  if to < params.key0 || to >= params.key_end { return; }
  let start = q_row(at.batch, at.head, row);
  let x = turned(load_q(start, d), start, d, at.batch, row);
  store_out(out_row(at.batch, at.head, to), d, x);
}
