// Each of SHARED_KEYS neighbours in a subgroup loads one key for all of them; row_alone.wgsl is its twin.
//
// Needs      SHARED_KEYS (preamble: at most the smallest size of a subgroup)
// Host       src/kernels/row.rs
//
// Software drivers check the bounds of each scalar that they load, at some ten instructions; a shuffle is one.

const SHUFFLED = true;

struct InSubgroup { @builtin(subgroup_invocation_id) lane: u32 }

// Which of SHARED_KEYS keys this invocation loads.
fn held_by(place: InSubgroup) -> u32 {
  return place.lane % SHARED_KEYS;
}

// What the invocation holds that loaded key n.
fn held_for(place: InSubgroup, x: vec4<f32>, n: u32) -> vec4<f32> {
  return subgroupShuffle(x, place.lane / SHARED_KEYS * SHARED_KEYS + n);
}
