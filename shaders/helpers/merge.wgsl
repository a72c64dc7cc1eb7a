// Partial results over disjoint keys into the whole: out, and what is asked for beside it.
//
// One workgroup     THREADS work items
// One invocation    a vec4 of an output row
// Grid              work items: vec4 of a row, rows, heads, batch items
//
// Needs      PARTS_ARE_SUMS (preamble: partial outputs are not yet divided), heads.wgsl, load_parts, store_out,
//            softmax_row.wgsl, part_state.wgsl or part_lses.wgsl, row_dense.wgsl or row_packed.wgsl, lse and state or what
//            stands in for them
// Host       src/kernels/helpers/merge.rs
// Reference  src/reference/merge.rs

const THREADS = 64u;
const V4 = (VALUE_DIM + 3) / 4;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = params.first + (workgroup.y * params.grid_x + workgroup.x) * THREADS + t;
  if item >= params.end { return; }
  let at = work_item_of(item);
  let row = params.row0 + at.block / V4;
  let d = at.block % V4;
  if !exists(row) { return; }
  var highest = FLOOR;
  for (var p = 0u; p < params.parts; p++) { highest = max(highest, part_of(at, row, p).x); }
  var sum = 0.0;
  var o = vec4<f32>();
  for (var p = 0u; p < params.parts; p++) {
    let part = part_of(at, row, p);
    let share = exp_of(part.x - highest) * part.y;
    // A row that saw no key may hold anything.
    if share > 0.0 {
      let start = parts_row(at.batch, at.head, row) + p * params.part_step;
      o += load_parts(start, d) * select(share, exp_of(part.x - highest), PARTS_ARE_SUMS);
      sum += share;
    }
  }
  let factor = row_factor(at.head, highest, sum);
  store_out(out_row(at.batch, at.head, row), d, o * factor);
  if d == 0 {
    store_lse(at, row, row_lse(highest, sum));
    store_state(at, row, params.part, vec2(highest, factor));
  }
}
