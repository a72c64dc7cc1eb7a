// Copy probe: how many bytes a second go from one storage buffer to another.
// Each invocation takes four vec4, neighbours taking neighbouring ones: all loads first, then all stores.
// Workgroup: 256 invocations. Grid: 1D, 1024 vec4 a workgroup. Workgroup memory: none. Host: probes.rs.
@group(0) @binding(0) var<storage, read_write> dst: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> src: array<vec4<u32>>;

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group.x * 1024u + t;
  let a = src[i];
  let b = src[i + 256u];
  let c = src[i + 512u];
  let d = src[i + 768u];
  dst[i] = a;
  dst[i + 256u] = b;
  dst[i + 512u] = c;
  dst[i + 768u] = d;
}

// What is copied: word n is n * 2654435761 + 1, so that no two are equal.
@compute @workgroup_size(256)
fn fill(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  for (var k = 0u; k < 4u; k++) {
    let i = group.x * 1024u + k * 256u + t;
    dst[i] = (vec4(4u * i) + vec4(0u, 1u, 2u, 3u)) * 2654435761u + 1u;
  }
}
