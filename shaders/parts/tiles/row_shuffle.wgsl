// Each of SHARED_KEYS neighbours in a subgroup loads one key for all of them; row_alone.wgsl is its twin.
//
// Needs      SHARED_KEYS (preamble: at most the smallest size of a subgroup)
// Host       src/kernels/forward/row.rs
//
// Software drivers check the bounds of each scalar that they load, at some ten instructions; a shuffle is one.

const SHUFFLED = true;

struct InSubgroup { @builtin(subgroup_invocation_id) lane: u32 }

// Which of SHARED_KEYS keys this invocation loads.
fn held_by(in_subgroup: InSubgroup) -> u32 {
  return in_subgroup.lane % SHARED_KEYS;
}

// What the invocation holds that loaded key n.
fn held_for(in_subgroup: InSubgroup, x: vec4<f32>, n: u32) -> vec4<f32> {
  return subgroupShuffle(x, in_subgroup.lane / SHARED_KEYS * SHARED_KEYS + n);
}
