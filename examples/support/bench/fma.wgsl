// Multiply-add probe: how many f32 multiply-adds a second this device does when nothing else is in the way.
// A line with a # stands for one line per chain, # being the chain's number: text without loops over chains, so that they
// are registers on every driver. Chains are independent of each other; a round advances each of them by 16 steps.
// factor and term are 1, which no compiler knows: a chain counts its steps, exactly, and the host checks the count.
// Workgroup: 64 invocations. Grid: 1D. Workgroup memory: none. Host: probes.rs.
struct Params { rounds: u32, factor: f32, term: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = vec4(params.factor);
  let term = vec4(params.term);
  let start = vec4(f32(id.x % 256u)) + vec4(0.0, 1.0, 2.0, 3.0);
  var x# = start + vec4(#.0);
  for (var round = 0u; round < params.rounds; round++) {
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
    x# = fma(x#, factor, term);
  }
  var sum = vec4(0.0);
  sum += x#;
  sums[id.x] = sum;
}
