// Normalises rows of x, or of x + residual: layer, rms or unit.
//
// One workgroup     a row
// One invocation    every THREADS-th vec4 of it
// Grid              work items: rows
// Workgroup memory  share_tile
//
// Needs      VALUE_DIM CENTRED UNIT (preamble), params.wgsl, load_x, store_out, residual.wgsl or no_residual.wgsl, norm_weight.wgsl or
//            no_norm_weight.wgsl, layer_bias.wgsl or no_layer_bias.wgsl
// Host       src/kernels/layers/norm.rs
// Reference  src/reference/norm.rs
//
// The mean first, then the squares of what is left of it: nothing cancels.

const THREADS = 64u;

var<workgroup> share_tile: array<f32, THREADS>;

fn element(row: u32, d: u32) -> vec4<f32> {
  return load_x(x_row(0, 0, row), d) + residual_of(row, d);
}

// 1 for the elements of a vec4 that a row has, 0 for those past its end.
fn present(d: u32) -> vec4<f32> {
  return select(vec4<f32>(), vec4(1.0), vec4(4 * d) + vec4(0u, 1u, 2u, 3u) < vec4(VALUE_DIM));
}

// The sum over the workgroup, by halves.
fn total(share: f32, t: u32) -> f32 {
  workgroupBarrier();
  share_tile[t] = share;
  for (var n = THREADS / 2; n > 0; n /= 2) {
    workgroupBarrier();
    if t < n { share_tile[t] += share_tile[t + n]; }
  }
  workgroupBarrier();
  return share_tile[0];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let row = params.row0 + item;
  var mean = 0.0;
  if CENTRED {
    var share = 0.0;
    for (var d = t; d < params.head_vec4s; d += THREADS) { share += dot(element(row, d), vec4(1.0)); }
    mean = total(share, t) / f32(VALUE_DIM);
  }
  var share = 0.0;
  for (var d = t; d < params.head_vec4s; d += THREADS) {
    let y = (element(row, d) - mean) * present(d);
    share += dot(y, y);
  }
  let squares = total(share, t);
  let length = select(sqrt(squares / f32(VALUE_DIM) + params.epsilon), max(sqrt(squares), params.epsilon), UNIT);
  for (var d = t; d < params.head_vec4s; d += THREADS) {
    store_out(out_row(0, 0, row), d, (element(row, d) - mean) / length * norm_weight_of(d) + layer_bias_of(d));
  }
}
