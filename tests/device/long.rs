//! Lengths at which stored weights would not fit.

use std::time::Instant;

use wgpu_attention::{Align, Grid, Inputs, Layout, Mask, Outputs, Shape, Spec, Tensor, reference};

use crate::support::{Case, gpu};

fn causal(len: u32) -> Spec {
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: len, kv_len: len, head_dim: 64, value_dim: 64 };
    Spec::new(shape).mask(Mask::causal()).align(Align::Start).lse()
}

#[test]
#[ignore = "needs an adapter"]
fn memory_of_64k_by_64k() {
    let spec = causal(65536);
    let plan = gpu().attention().plan(&spec).expect("it plans");
    let inputs: u64 = [Tensor::Q, Tensor::K, Tensor::V].iter().map(|&t| spec.view(t).unwrap().bytes().unwrap()).sum();
    let extra = plan.workspace_bytes() + plan.parameter_bytes();
    println!("64k x 64k: {} dispatches, {extra} bytes beside inputs and outputs, inputs {inputs} bytes", plan.steps());
    assert!(extra * 100 < inputs, "{extra} bytes are 1 % of {inputs} or more");
    assert!(plan.steps() > 1, "one dispatch would outlive a watchdog");
}

/// Additive scores, whose stored weights would take 1 GiB.
#[test]
#[ignore = "needs an adapter"]
fn additive_rows_of_16k_by_16k() {
    let (gpu, len) = (gpu(), 16384);
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: len, kv_len: len, head_dim: 8, value_dim: 8 };
    let case = Case::random(Spec::new(shape).additive().lse(), 9);
    let outputs = gpu.run(&case.spec, &case.inputs()).expect("it runs");
    let lse = outputs.lse().expect("asked for");
    let alone = Spec::new(Shape { q_len: 1, ..shape }).additive().lse();
    let [q, k, v, w] = [Tensor::Q, Tensor::K, Tensor::V, Tensor::ScoreWeights].map(|tensor| case.floats(tensor));
    for i in [0_usize, 1, 31, 32, 8191, 8192, 16382, 16383] {
        let rows = i * 8..(i + 1) * 8;
        let mut row = Outputs::of(outputs.out()[rows.clone()].to_vec());
        row.set(Tensor::Lse, vec![lse[i]]);
        let inputs = Inputs::new(&q[rows], k, v).score_weights(w);
        reference::check(&alone, &inputs, &row).unwrap_or_else(|wrong| panic!("row {i}: {wrong}"));
    }
}

/// Neighbourhoods of 16,384 places, each row against attention under a bias that hides all but its square.
#[test]
#[ignore = "needs an adapter"]
fn neighbourhoods_of_128_by_128() {
    const SIDE: u32 = 128;
    const WINDOW: u32 = 7;
    let (gpu, len) = (gpu(), SIDE * SIDE);
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: len, kv_len: len, head_dim: 8, value_dim: 8 };
    let case = Case::random(Spec::new(shape).grid(Grid::neighbourhood(SIDE, SIDE, WINDOW).biased()).lse(), 10);
    let start = Instant::now();
    let outputs = gpu.run(&case.spec, &case.inputs()).expect("it runs");
    println!("neighbourhoods of 7 x 7 in 128 x 128 places: {:?}, compiling included", start.elapsed());
    let lse = outputs.lse().expect("asked for");
    let [q, k, v, table] = [Tensor::Q, Tensor::K, Tensor::V, Tensor::GridBias].map(|tensor| case.floats(tensor));
    let alone = Spec::new(Shape { q_len: 1, ..shape }).bias(Layout::broadcast(&[len]).expect("one size"), len).lse();
    for i in [0, 1, 127, 128, 8191, 8256, 16382, 16383] {
        let mut bias = vec![f32::NEG_INFINITY; len as usize];
        let corner = |x: u32| x.saturating_sub(WINDOW / 2).min(SIDE - WINDOW);
        for (y, x) in (0..WINDOW).flat_map(|y| (0..WINDOW).map(move |x| (y, x))) {
            let (row, column) = (corner(i / SIDE) + y, corner(i % SIDE) + x);
            let from_query = [row + WINDOW - 1 - i / SIDE, column + WINDOW - 1 - i % SIDE];
            bias[(row * SIDE + column) as usize] = table[(from_query[0] * (2 * WINDOW - 1) + from_query[1]) as usize];
        }
        let rows = i as usize * 8..(i as usize + 1) * 8;
        let mut row = Outputs::of(outputs.out()[rows.clone()].to_vec());
        row.set(Tensor::Lse, vec![lse[i as usize]]);
        let inputs = Inputs::new(&q[rows], k, v).bias(&bias);
        reference::check(&alone, &inputs, &row).unwrap_or_else(|wrong| panic!("row {i}: {wrong}"));
    }
}

#[test]
#[ignore = "needs an adapter"]
fn rows_of_8k_by_8k() {
    let gpu = gpu();
    let case = Case::random(causal(8192), 8);
    let outputs = gpu.run(&case.spec, &case.inputs()).expect("it runs");
    let lse = outputs.lse().expect("asked for");
    for i in [0_usize, 1, 31, 32, 33, 1000, 4095, 4096, 8190, 8191] {
        // The same row alone.
        let shape = Shape { q_len: 1, ..*case.spec.shape() };
        let alone = Spec::new(shape).mask(Mask::causal()).align(Align::At(i as i32)).lse();
        let rows = i * 64..(i + 1) * 64;
        let [q, k, v] = [Tensor::Q, Tensor::K, Tensor::V].map(|tensor| case.floats(tensor));
        let inputs = Inputs::new(&q[rows.clone()], k, v);
        let mut row = Outputs::of(outputs.out()[rows].to_vec());
        row.set(Tensor::Lse, vec![lse[i]]);
        reference::check(&alone, &inputs, &row).unwrap_or_else(|wrong| panic!("row {i}: {wrong}"));
    }
}
