// Turns a row of scores into weights, in place, and gives its log-sum-exp.
//
// One workgroup     one query row of one head of one batch item
// One invocation    every THREADS-th key
// Grid              work items: rows, heads, batch items
// Workgroup memory  partial
//
// Needs      THREADS (preamble); softmax_row.wgsl, weights.wgsl, lse.wgsl or no_lse.wgsl
// Host       src/kernels/softmax.rs
// Reference  src/reference/mod.rs
//
// Visits only the keys that the row sees; the others become 0.

var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let at = place(item);
  let row = weights_row(at, at.block);
  let first = first_key(at.block);
  let end = end_key(at.block);

  var highest = FLOOR;
  for (var j = first + t; j < end; j += THREADS) { highest = max(highest, bitcast<f32>(weights[row + j])); }
  partial[t] = highest;
  workgroupBarrier();
  for (var half = THREADS / 2; half > 0; half /= 2) {
    if t < half { partial[t] = max(partial[t], partial[t + half]); }
    workgroupBarrier();
  }
  highest = partial[0];
  workgroupBarrier();

  var sum = 0.0;
  for (var j = first + t; j < end; j += THREADS) { sum += exp2((bitcast<f32>(weights[row + j]) - highest) * LOG2_E); }
  partial[t] = sum;
  workgroupBarrier();
  for (var half = THREADS / 2; half > 0; half /= 2) {
    if t < half { partial[t] += partial[t + half]; }
    workgroupBarrier();
  }
  sum = partial[0];

  let factor = row_factor(sum);
  for (var j = t; j < params.kv_len; j += THREADS) {
    var weight = 0.0;
    if j >= first && j < end { weight = exp2((bitcast<f32>(weights[row + j]) - highest) * LOG2_E) * factor; }
    weights[row + j] = bitcast<u32>(weight);
  }
  if t == 0 { store_lse(at, at.block, row_lse(highest * LOG2_E, sum)); }
}
