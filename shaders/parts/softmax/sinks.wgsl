// The learned sink of a head; no_sinks.wgsl stands in where there is none.
//
// Needs      workspace
// Host       src/problem/attention/spec.rs

// In units of log2.
fn sink_of(head: u32) -> f32 {
  return bitcast<f32>(workspace[sinks_row(0, 0, 0) + head]) * LOG2_E;
}
