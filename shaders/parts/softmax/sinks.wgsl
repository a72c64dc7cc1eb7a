// The learned sink of a head; no_sinks.wgsl stands in where there is none.
//
// Needs      workspace
// Host       src/problem/attention/spec.rs

// A row that does not exist may name a head past the last.
fn sink_of(head: u32) -> f32 {
  let own = min(head, params.head0 + params.heads - 1);
  return clamp(bitcast<f32>(workspace[sinks_row(0, 0, 0) + own]), LOWEST, HIGHEST);
}
