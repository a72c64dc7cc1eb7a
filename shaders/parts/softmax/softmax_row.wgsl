// What the running maximum and sum of a row become at its end.
//
// Needs      score.wgsl, sinks.wgsl or no_sinks.wgsl
// Host       src/shader/mod.rs
// Reference  src/reference/tiled.rs

// The factor that turns an accumulator into an output row. A row that saw no key becomes zero.
fn row_factor(head: u32, highest: f32, sum: f32) -> f32 {
  let sink = sink_of(head);
  let top = max(highest, sink);
  let share = exp_of(highest - top);
  return select(0.0, share / (sum * share + exp_of(sink - top)), sum > 0.0);
}

// log(sum of exp(scores)) as bits; the sink does not count.
fn row_lse(highest: f32, sum: f32) -> u32 {
  if sum > 0.0 { return bitcast<u32>(highest + log2(sum) * LN_2); }
  return NEGATIVE_INFINITY;
}
