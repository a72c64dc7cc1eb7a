// out = activation(x . weight^T + bias) + residual, by blocks of rows and outputs.
//
// One workgroup     BR rows x BC vec4 of outputs
// One invocation    RM rows x COLS vec4 of outputs
// Grid              work items: blocks of rows, blocks of outputs
//
// Needs      INPUTS VALUE_DIM BR BC RM COLS (preamble), params.wgsl, lanes.wgsl, load_x, load_weight, store_out, activation.wgsl,
//            layer_bias.wgsl or no_layer_bias.wgsl, residual.wgsl or no_residual.wgsl, and linear_matrix.wgsl, or row_alone.wgsl or
//            row_shuffle.wgsl and one of linear_tile.wgsl, linear_rows.wgsl, linear_few.wgsl
// Host       src/kernels/layers/linear.rs
// Reference  src/reference/linear.rs
//
// Work items that follow one another share the weight, which is larger than the rows.

const D4 = (INPUTS + 3) / 4;

// Rows row0..rows and vec4 of outputs c0..c_end.
struct Block { row0: u32, rows: u32, c0: u32, c_end: u32 }

// Where a row of x starts; one that does not exist stands as the last that does.
fn x_start(block: Block, row: u32) -> u32 {
  return x_row(0, 0, min(row, block.rows - 1));
}

// One past the last output of a block.
fn outputs_end(block: Block) -> u32 {
  return min(4 * block.c_end, VALUE_DIM);
}

// Where the weights of an output start; one that does not exist stands as the last that does.
fn weight_start(block: Block, output: u32) -> u32 {
  return weight_row(0, 0, min(output, outputs_end(block) - 1));
}

// sum + x . y
fn add_dot(x: vec4<f32>, y: vec4<f32>, sum: f32) -> f32 {
  return fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
}

// The same with the weights of four outputs.
fn add_dots(x: vec4<f32>, w: array<vec4<f32>, 4>, sum: vec4<f32>) -> vec4<f32> {
  return vec4(add_dot(x, w[0], sum.x), add_dot(x, w[1], sum.y), add_dot(x, w[2], sum.z), add_dot(x, w[3], sum.w));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(local_invocation_index) t: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  in_subgroup: InSubgroup,
) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let row0 = params.row0 + item % params.blocks * BR;
  let c0 = params.head0 + item / params.blocks * BC;
  let block = Block(row0, min(row0 + BR, params.row_end), c0, min(c0 + BC, params.head0 + params.heads));
  let lane = lane_of(t);
  var sums: array<vec4<f32>, RM * COLS>;
  products(block, lane, in_subgroup, &sums);
  for (var r = 0u; r < RM; r++) {
    let row = block.row0 + row_of(lane, r);
    for (var j = 0u; j < COLS; j++) {
      let c = block.c0 + j * TX + lane.tx;
      if row < block.rows && c < block.c_end {
        let x = activated(sums[r * COLS + j] + layer_bias_of(c)) + residual_of(row, c);
        store_out(out_row(0, 0, row), c, x);
      }
    }
  }
}
