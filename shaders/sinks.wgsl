// The learned sink of a head; no_sinks.wgsl stands in where there is none.
//
// Needs      workspace.wgsl
// Host       src/spec.rs

// In units of log2.
fn sink_of(head: u32) -> f32 {
  return bitcast<f32>(workspace[params.sinks_at + head]) * LOG2_E;
}
