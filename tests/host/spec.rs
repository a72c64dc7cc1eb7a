//! What needs no device: every refusal, masks against their definition, layouts against brute force, specs as keys.

mod block_masks;
mod choices;
mod errors;
mod grids;
mod layouts;
mod masks;
mod others;
mod sizes;
mod tensors;

use wgpu_attention::{Angles, Pairs, Rotary, Shape, Spec};

const SHAPE: Shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 3, kv_len: 5, head_dim: 8, value_dim: 6 };

fn spec() -> Spec {
    Spec::new(SHAPE)
}

fn message(spec: &Spec) -> String {
    spec.check().expect_err("this spec is refused").to_string()
}

/// Sets one size by its name.
fn resized(name: &str, size: u32) -> Spec {
    let mut shape = SHAPE;
    let field = match name {
        "batch" => &mut shape.batch,
        "q_heads" => &mut shape.q_heads,
        "kv_heads" => &mut shape.kv_heads,
        "q_len" => &mut shape.q_len,
        "kv_len" => &mut shape.kv_len,
        "head_dim" => &mut shape.head_dim,
        "value_dim" => &mut shape.value_dim,
        _ => panic!("no size {name}"),
    };
    *field = size;
    Spec::new(shape)
}

fn rotary(dim: u32, angles: Angles) -> Rotary {
    Rotary { dim, pairs: Pairs::Halves, angles }
}
