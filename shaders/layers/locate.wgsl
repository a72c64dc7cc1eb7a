// Adds to each key what a convolution of the previous weights finds at its place.
//
// One workgroup     KEYS keys of one head of one batch item
// One invocation    what a filter finds at a key; then a vec4 of a key
// Grid              work items: blocks of keys, heads, batch items
// Workgroup memory  found
//
// Needs      HEAD_DIM CHANNELS KEYS (preamble), heads.wgsl, load_k, store_out
// Host       src/kernels/layers/locate.rs
// Reference  Chorowski et al. 2015, equations 8 and 9

const THREADS = 64u;
const D4 = (HEAD_DIM + 3) / 4;

var<workgroup> found: array<f32, KEYS * CHANNELS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let item = work_item(workgroup);
  if item >= params.end { return; }
  let at = work_item_of(item);
  let first = params.row0 + at.block * KEYS;
  let weights = previous_row(at.batch, at.head, 0);
  let width = params.filter_width;
  for (var i = t; i < KEYS * CHANNELS; i += THREADS) {
    // Element n of the filter lies on key + n - reach; of those keys, these exist.
    let key = first + i / CHANNELS;
    let reach = (width - 1) / 2;
    let start = reach - min(reach, key);
    let end = min(width, select(0, params.kv_len - key + reach, key < params.kv_len));
    let filter_at = filters_row(0, 0, i % CHANNELS);
    var sum = 0.0;
    for (var n = start; n < end; n++) { sum = fma(filters[filter_at + n], previous[weights + key + n - reach], sum); }
    found[i] = sum;
  }
  workgroupBarrier();
  for (var i = t; i < KEYS * D4; i += THREADS) {
    let key = first + i / D4;
    let d = i % D4;
    if key < params.row_end {
      var x = load_k(k_row(at.batch, at.head, key), d);
      for (var c = 0u; c < params.channels; c++) {
        let f = found[i / D4 * CHANNELS + c];
        for (var e = 0u; e < min(HEAD_DIM - 4 * d, 4); e++) {
          x[e] = fma(filter_weights[filter_weights_row(0, 0, 4 * d + e) + c], f, x[e]);
        }
      }
      store_out(out_row(at.batch, at.head, key), d, x);
    }
  }
}
