// Matrix probe: how many multiply-adds a second cooperative matrices do when nothing else is in the way.
// One factor is all ones, the other all 1 / T: each product adds 1 to every element of a sum, exactly, and the host checks the
// count. CHAINS sums are independent of each other.
// Workgroup: one subgroup of SIZE invocations. Grid: 1D. Workgroup memory: 2 matrices. Host: probes.rs.
const CHAINS = 4u;
struct Params { rounds: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
var<workgroup> ones: array<f16, T * T>;
var<workgroup> shares: array<f16, T * T>;

@compute @workgroup_size(SIZE)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  for (var i = t; i < T * T; i += SIZE) {
    ones[i] = 1.0h;
    shares[i] = f16(1.0 / f32(T));
  }
  workgroupBarrier();
  let a = coopLoad<MatrixA>(&ones[0], T);
  let b = coopLoad<MatrixB>(&shares[0], T);
  var c: array<MatrixC, CHAINS>;
  for (var round = 0u; round < params.rounds; round++) {
    for (var step = 0u; step < 4u; step++) {
      for (var i = 0u; i < CHAINS; i++) { c[i] = coopMultiplyAdd(a, b, c[i]); }
    }
  }
  for (var i = 0u; i < CHAINS; i++) {
    let sum = c[i];
    let to = (workgroup.x * CHAINS + i) * T * T;
    coopStore(sum, &sums[to], T);
  }
}
