//! Lengths at which stored weights would not fit.

use wgpu_attention::{Align, Inputs, Mask, Shape, Spec, Tensor, reference};

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

#[test]
#[ignore = "needs an adapter"]
fn rows_of_8k_by_8k() {
    let gpu = gpu();
    let case = Case::random(causal(8192), 8);
    let outputs = gpu.run(&case.spec, &case.inputs()).expect("it runs");
    let lse = outputs.lse.expect("asked for");
    for i in [0, 1, 31, 32, 33, 1000, 4095, 4096, 8190, 8191] {
        let row = reference::row(&case.spec, &case.inputs(), 0, 0, i);
        // The same row alone, by the naive formula: what f32 costs here.
        let shape = Shape { q_len: 1, ..*case.spec.shape() };
        let alone = Spec::new(shape).mask(Mask::causal()).align(Align::At(i as i32)).lse();
        let i = i as usize;
        let naive = reference::naive(&alone, &Inputs { q: &case.q[64 * i..][..64], k: &case.k, v: &case.v });
        let tolerance = reference::Tolerance::of(&row.out, &naive.out);
        tolerance.check(&outputs.out[64 * i..][..64], &row.out).unwrap_or_else(|bad| panic!("row {i}: {bad}"));
        let tolerance = reference::Tolerance::of(&[row.lse], &naive.lse.expect("asked for"));
        tolerance.check(&lse[i..=i], &[row.lse]).unwrap_or_else(|bad| panic!("lse of row {i}: {bad}"));
    }
}
