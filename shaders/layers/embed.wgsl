// Rows of a table by ids, and learned positions.
//
// One workgroup     THREADS work items
// One invocation    a vec4 of a row
// Grid              work items: vec4 of a row, rows
//
// Needs      VALUE_DIM (preamble), params.wgsl, load_table, store_out, learned_positions.wgsl or no_learned_positions.wgsl
// Host       src/kernels/layers/embed.rs
// Reference  src/reference/embed.rs
//
// A dispatch may have a part of the table: it writes the rows whose ids lie there. The first part writes zeros for ids past the
// whole table.

const THREADS = 64u;
const V4 = (VALUE_DIM + 3) / 4;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = params.first + (workgroup.y * params.grid_x + workgroup.x) * THREADS + t;
  if item >= params.end { return; }
  let row = params.row0 + item / V4;
  let d = item % V4;
  let start = out_row(0, 0, row);
  let id = ids[ids_row(0, 0, 0) + row];
  if id >= params.key0 && id < params.key_end {
    store_out(start, d, load_table(table_row(0, 0, id), d) + place_of(row, d));
  } else if id >= params.kv_len && params.key0 == 0 {
    store_out(start, d, vec4<f32>());
  }
}
