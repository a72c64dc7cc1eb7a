//! What `Plan::explain` says of tiles is what the kernels do.

use wgpu_attention::{Align, Attention, Mask, ScoreStage, Shape, Spec, wgpu};

/// 64 x 64, which is 2 x 2 tiles of 32 x 32; a causal mask empties one of them.
const SHAPE: Shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 64, kv_len: 64, head_dim: 64, value_dim: 64 };

/// The lines about tiles, in the order of the kernels.
fn tiles(spec: &Spec) -> Vec<String> {
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let said = Attention::new(&device).plan(spec).expect("a legal spec").explain().to_string();
    said.lines().map(str::trim).filter(|line| line.starts_with("tiles of ")).map(String::from).collect()
}

const ALL: &str = "tiles of 32 queries x 32 keys, 4 for each head";
const CAUSAL: &str = "tiles of 32 queries x 32 keys, 3 for each head; 1 more that the mask empties are skipped";

#[test]
fn skipped_tiles_are_counted_for_each_kernel() {
    let causal = Spec::new(SHAPE).mask(Mask::causal()).align(Align::End);
    assert_eq!(tiles(&Spec::new(SHAPE)), [ALL]);
    assert_eq!(tiles(&causal), [CAUSAL]);
    assert_eq!(tiles(&causal.clone().weights()), [CAUSAL, CAUSAL], "scores and aggregate; softmax has no tiles");
    assert_eq!(tiles(&causal.clone().scores(ScoreStage::Masked)), [CAUSAL, CAUSAL]);
    assert_eq!(tiles(&causal.scores(ScoreStage::Scaled)), [CAUSAL, ALL], "hidden pairs have a scaled score too");
}
