//! Attentions compared, of inputs that take no memory.

use proptest::prelude::*;
use wgpu_attention::{Error, Gpu, Inputs, Layout, Shape, Spec};

use crate::{device, fuzz::fuzz, problems::spec, values::size};

const NOWHERE: Layout = Layout { offset: 0, batch: 0, head: 0, row: 0 };

#[test]
fn comparisons() {
    let (device, queue) = device::noop(1 << 16);
    let gpu = Gpu::from_device(device, queue);
    let inputs = (spec(), [size(), size(), size()], any::<bool>());
    // A device of 64 KiB buffers keeps them in host memory.
    fuzz(
        "comparisons",
        inputs,
        |_| 192 << 20,
        |(spec, [heads, q_len, kv_len], plain)| {
            let shape = Shape {
                batch: 1,
                q_heads: *heads,
                kv_heads: *heads,
                q_len: *q_len,
                kv_len: *kv_len,
                head_dim: 1,
                value_dim: 1,
            };
            let spec = if *plain { Spec::new(shape) } else { spec.clone() }.q_layout(NOWHERE).k_layout(NOWHERE);
            let data = vec![0.5; 512];
            let len = spec.shape().head_dim.min(512) as usize;
            let inputs = Inputs::without_values(&data[..len], &data[..len]);
            drop(gpu.compare((&spec, &inputs), (&spec, &inputs)));
        },
    );
}

/// One part for each of 2^48 rows: a list of them took all memory.
#[test]
fn more_parts_than_memory_lists() {
    let (device, queue) = device::noop(1 << 20);
    let gpu = Gpu::from_device(device, queue);
    let shape =
        Shape { batch: 1, q_heads: 1 << 19, kv_heads: 1, q_len: 1 << 29, kv_len: 1 << 10, head_dim: 1, value_dim: 1 };
    let spec = Spec::new(shape).q_layout(NOWHERE).k_layout(NOWHERE);
    let inputs = Inputs::without_values(&[1.0], &[1.0]);
    let refusal = gpu.compare((&spec, &inputs), (&spec, &inputs)).map(drop);
    assert!(matches!(refusal, Err(Error::Device { .. } | Error::BufferLimit { .. })), "{refusal:?}");
}
