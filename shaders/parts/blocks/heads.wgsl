// Each query head has work items of its own; row_groups.wgsl has a twin of it.
//
// Needs      params.wgsl
// Host       src/kernels/scoring.rs

fn work_item_of(item: u32) -> WorkItem {
  let plane = item / params.blocks;
  let head = params.head0 + plane % params.heads;
  return WorkItem(params.batch0 + plane / params.heads, head, head / params.group, head, item % params.blocks);
}
