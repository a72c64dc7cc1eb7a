// Every invocation loads every key, all from the same address; row_shuffle.wgsl is its twin.
//
// Host       src/kernels/forward/row.rs

const SHUFFLED = false;

struct InSubgroup { @builtin(local_invocation_id) unused: vec3<u32> }

fn held_by(in_subgroup: InSubgroup) -> u32 {
  return 0;
}

fn held_for(in_subgroup: InSubgroup, x: vec4<f32>, n: u32) -> vec4<f32> {
  return x;
}
