//! From a problem to the dispatches that compute it: without a device, and on one that computes nothing.

use proptest::{prelude::*, sample::select};
use wgpu_attention::{
    Algorithm, Attention, Bindings, Caps, Data, Inputs, Problem, Tensor, kernels::Choice, program::Program,
};

use crate::{
    device,
    fuzz::fuzz,
    problems::problem,
    values::caps,
};

/// A program has at most 65,536 steps and as many groups of windows. Their list is no larger than this, however long the tensors are.
const PROGRAM: usize = 192 << 20;

fn choice() -> impl Strategy<Value = Choice> {
    let asked = select(&Algorithm::ALL[..]);
    prop_oneof![3 => Just(Choice::Suggested), 1 => asked.clone().prop_map(Choice::Asked), 1 => asked.prop_map(Choice::Measured)]
}

/// What holds of every program: its steps fit the device, and no window leaves its tensor.
fn check_program(problem: &Problem, caps: &Caps, program: &Program) {
    assert!(program.steps.len() <= 1 << 16);
    for group in &program.groups {
        for window in &group.windows {
            let bytes = &window.bytes;
            let len = problem.view(window.tensor).map_or(program.workspace_bytes, |view| view.bytes().expect("checked"));
            assert!(bytes.start < bytes.end && bytes.end <= len, "{window:?} of {len} bytes");
            assert!(bytes.end - bytes.start <= caps.binding_bytes, "{window:?} is longer than a binding");
            assert!(bytes.start.is_multiple_of(u64::from(caps.storage_align).max(256)), "{window:?} is not aligned");
        }
    }
    for step in &program.steps {
        assert!(step.params.first < step.params.end, "{step:?} has no work");
        let [x, y] = step.grid;
        assert!(x.max(y) <= caps.workgroups.max(1) && x > 0 && y > 0, "{step:?} is too wide");
    }
}

#[test]
fn programs() {
    let inputs = (problem(), caps(), choice());
    let made = std::cell::Cell::new(0);
    fuzz("programs", inputs, |_| PROGRAM, |(problem, caps, choice)| {
        if let Ok(program) = Program::new(problem, caps, *choice) {
            made.set(made.get() + 1);
            check_program(problem, caps, &program);
        }
    });
    println!("programs: {} of them were made", made.get());
}

#[test]
fn plans() {
    let attentions = [1 << 20, 256 << 20, (1 << 31) - 4].map(|bytes| (bytes, Attention::new(&device::noop(bytes).0)));
    let inputs = (problem(), caps(), 0..attentions.len(), any::<bool>());
    let made = std::cell::Cell::new(0);
    fuzz("plans", inputs, |_| PROGRAM + (64 << 20), |(problem, caps, attention, limited)| {
        let (most, attention) = &attentions[*attention];
        let attention = if *limited { attention.limited(caps.clone()) } else { attention.clone() };
        let refused = problem.check().is_err();
        let data = [1.0; 64];
        let inputs = Tensor::ALL.into_iter().filter(|&tensor| problem.view(tensor).is_some_and(|view| view.is_input()));
        let inputs = inputs.fold(Inputs::default(), |inputs, tensor| inputs.set(tensor, Data::Floats(&data)));
        let checked = inputs.check(problem);
        assert!(!refused || checked.is_err());
        let Ok(plan) = attention.plan(problem) else { return };
        made.set(made.get() + 1);
        assert!(!refused, "a problem that is refused has a plan");
        check_program(problem, attention.caps(), &Program::new(problem, attention.caps(), Choice::Suggested).expect("it has a plan"));
        assert!(!plan.explain().to_string().is_empty());
        for view in plan.views() {
            let bytes = view.bytes().expect("a plan has it");
            assert!(bytes <= *most, "{view:?}");
            assert!(view.tensor != Tensor::Workspace || bytes == plan.workspace_bytes(), "{view:?}");
        }
        assert!(plan.bind(&Bindings::new()).is_err(), "there are no buffers");
    });
    println!("plans: {} of them were made", made.get());
}
