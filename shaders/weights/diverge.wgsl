// How far two rows of attention weights are apart: the Jensen-Shannon divergence in nats, and the largest difference.
//
// One workgroup     a row
// One invocation    every THREADS-th key
// Grid              work items: rows, heads, batch items
// Workgroup memory  tile
//
// Needs      params.wgsl, heads.wgsl
// Host       src/kernels/weights/diverge.rs
// Reference  src/reference/divergence.rs
//
// With a and b as shares of their rows, a key adds (a + b) / 4 * spread((a - b) / (a + b)), which is never negative: terms of
// either sign, as the usual formula has them, would lose the divergence of nearly equal rows when they cancel.

const THREADS = 64u;
const LN_2 = 0.6931471805599453;
const LEAST = 1.1754944e-38; // a smaller sum counts as none, since devices may take it for 0 and its reciprocal is infinite

var<workgroup> tile: array<vec3<f32>, THREADS>;

// ln x of 0..=2, finite at 0. A driver's may be off by 2^-21 near 1, whatever is left there.
fn ln_of(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let exponent = bitcast<i32>(bits - 0x3f3504f3u) >> 23; // of x over a number between the roots of 1/2 and of 2
  let rest = bitcast<f32>(bits - (bitcast<u32>(exponent) << 23));
  let y = (rest - 1.0) / (rest + 1.0);
  let z = y * y;
  return f32(exponent) * LN_2 + 2.0 * y * (1.0 + z * (0.33333333 + z * (0.2 + z * (0.14285714 + z * 0.11111111))));
}

// (1 + d) ln(1 + d) + (1 - d) ln(1 - d), which cancels near 0: there its series, whose next term is below a rounding.
fn spread(d: f32) -> f32 {
  let z = d * d;
  let near = z * (1.0 + z * (0.16666667 + z * (0.066666667 + z * (0.035714286 + z * 0.022222222))));
  let far = (1.0 + d) * ln_of(1.0 + d) + (1.0 - d) * ln_of(1.0 - d);
  return select(far, near, abs(d) < 0.25);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let at = work_item_of(item);
  let row = params.row0 + at.block;
  let start = weights_row(at.batch, at.head, row);
  let other = other_weights_row(at.batch, at.head, row);
  var sums = vec2<f32>();
  var largest = 0.0;
  for (var key = t; key < params.kv_len; key += THREADS) {
    let w = vec2(weights[start + key], other_weights[other + key]);
    sums += w;
    largest = max(largest, abs(w.x - w.y));
  }
  tile[t] = vec3(sums, largest);
  for (var n = THREADS / 2; n > 0; n /= 2) {
    workgroupBarrier();
    if t < n { tile[t] = vec3(tile[t].xy + tile[t + n].xy, max(tile[t].z, tile[t + n].z)); }
  }
  workgroupBarrier();
  let whole = tile[0];
  workgroupBarrier();

  // What rounding does to a sum shifts all shares alike, and that hardly moves the divergence.
  let share = 1.0 / max(whole.xy, vec2(LEAST));
  var sum = 0.0;
  for (var key = t; key < params.kv_len; key += THREADS) {
    let w = vec2(weights[start + key], other_weights[other + key]) * share;
    let both = w.x + w.y;
    sum += both * spread(clamp((w.x - w.y) / max(both, LEAST), -1.0, 1.0));
  }
  tile[t].x = sum;
  for (var n = THREADS / 2; n > 0; n /= 2) {
    workgroupBarrier();
    if t < n { tile[t].x += tile[t + n].x; }
  }
  if t == 0 {
    let weighs = whole.xy >= vec2(LEAST);
    let to = divergence_row(at.batch, at.head, row);
    divergence[to] = select(select(0.0, LN_2, any(weighs)), min(0.25 * tile[0].x, LN_2), all(weighs));
    divergence[to + 1] = whole.z;
  }
}
