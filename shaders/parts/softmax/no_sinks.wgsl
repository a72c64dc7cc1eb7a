// Stands in for sinks.wgsl where heads have no sink.
//
// Host       src/problem/attention/spec.rs

fn sink_of(head: u32) -> f32 {
  return HIDDEN;
}
