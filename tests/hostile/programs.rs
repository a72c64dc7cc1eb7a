//! From a problem to the dispatches that compute it: without a device, and on one that computes nothing.

use proptest::{prelude::*, sample::select};
use wgpu_attention::{
    Algorithm, Attention, Bindings, Caps, Data, Inputs, Problem, Shape, Spec, Tensor,
    kernels::Choice,
    program::{Program, Step},
    shader::Params,
};

use crate::{device, fuzz::fuzz, problems::problem, values::caps};

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
            let len =
                problem.view(window.tensor).map_or(program.workspace_bytes, |view| view.bytes().expect("checked"));
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

/// What holds of all forward passes: the work items of all steps are each pair of a query and a key once, of which the corners and the
/// middles are looked at.
fn check_cover(spec: &Spec, program: &Program) {
    let Shape { batch, q_heads, q_len, kv_len, .. } = *spec.shape();
    let places = |len: u32| [0, len / 2, len - 1];
    let steps: Vec<_> = program
        .steps
        .iter()
        .filter_map(|step| {
            let shader = program.kernels[program.groups[step.group].kernel].shader();
            let tile = shader.workgroup();
            let forward = Algorithm::ALL.iter().any(|algorithm| algorithm.to_string() == shader.name());
            (forward && !tile.grouped).then_some((step.params, tile.rows))
        })
        .collect();
    if steps.is_empty()
        || spec.view(Tensor::CuQ).is_some()
        || spec.view(Tensor::Out).or(spec.view(Tensor::Lse)).is_none()
    {
        return; // heads that share blocks, sequences, parts of the rows
    }
    for (b, h) in places(batch).into_iter().flat_map(|b| places(q_heads).map(|h| (b, h))) {
        for (i, j) in places(q_len).into_iter().flat_map(|i| places(kv_len).map(|j| (i, j))) {
            let times = steps.iter().filter(|(params, rows)| has(params, *rows, [b, h, i, j])).count();
            assert_eq!(times, 1, "batch item {b}, head {h}, row {i}, key {j}");
        }
    }
}

/// Whether a pair is among the work items of a step, whose blocks have this many rows.
fn has(p: &Params, rows: u32, [b, h, i, j]: [u32; 4]) -> bool {
    let inside = b >= p.batch0 && h >= p.head0 && (p.row0..p.row_end).contains(&i) && (p.key0..p.key_end).contains(&j);
    if !inside || h - p.head0 >= p.heads {
        return false;
    }
    let plane = u64::from(b - p.batch0) * u64::from(p.heads) + u64::from(h - p.head0);
    let block = plane * u64::from(p.blocks) + u64::from((i - p.row0) / rows);
    let item = block * u64::from(p.splits) + u64::from((j - p.key0) / p.split_keys);
    (u64::from(p.first)..u64::from(p.end)).contains(&item)
}

/// Work items of all steps that are not of helpers, where they follow from the sizes alone.
fn check_items(problem: &Problem, program: &Program) {
    let product = |sizes: &[u32]| sizes.iter().map(|&size| u64::from(size)).product::<u64>();
    let wanted = match problem {
        Problem::Norm(norm) => norm.sizes()[0].into(),
        Problem::Divergence(divergence) => product(&divergence.sizes()[..3]),
        Problem::Rope(rope) => product(&rope.sizes()[..3]) * u64::from(rope.sizes()[3].div_ceil(4)),
        Problem::Merge(merge) => product(&merge.sizes()[..3]) * u64::from(merge.sizes()[3].div_ceil(4)),
        _ => return,
    };
    let own = |step: &&Step| program.kernels[program.groups[step.group].kernel].shader().name() != "pack";
    let items: u64 = program.steps.iter().filter(own).map(|step| u64::from(step.params.end - step.params.first)).sum();
    assert_eq!(items, wanted);
}

pub(crate) fn check_all(problem: &Problem, caps: &Caps, program: &Program) {
    check_program(problem, caps, program);
    check_items(problem, program);
    if let Problem::Attention(spec) = problem {
        check_cover(spec, program);
    }
}

#[test]
fn programs() {
    let inputs = (problem(), caps(), choice());
    let made = std::cell::Cell::new(0);
    fuzz(
        "programs",
        inputs,
        |_| PROGRAM,
        |(problem, caps, choice)| {
            if let Ok(program) = Program::new(problem, caps, *choice) {
                made.set(made.get() + 1);
                check_all(problem, caps, &program);
            }
        },
    );
    println!("programs: {} of them were made", made.get());
}

#[test]
fn plans() {
    let attentions = [1 << 20, 256 << 20, (1 << 31) - 4].map(|bytes| (bytes, Attention::new(&device::noop(bytes).0)));
    let inputs = (problem(), caps(), 0..attentions.len(), any::<bool>());
    let made = std::cell::Cell::new(0);
    fuzz(
        "plans",
        inputs,
        |_| PROGRAM + (64 << 20),
        |(problem, caps, attention, limited)| {
            let (most, attention) = &attentions[*attention];
            let attention = if *limited { attention.limited(caps.clone()) } else { attention.clone() };
            let refused = problem.check().is_err();
            let data = [1.0; 64];
            let inputs =
                Tensor::ALL.into_iter().filter(|&tensor| problem.view(tensor).is_some_and(|view| view.is_input()));
            let inputs = inputs.fold(Inputs::default(), |inputs, tensor| inputs.set(tensor, Data::Floats(&data)));
            let checked = inputs.check(problem);
            assert!(!refused || checked.is_err());
            let Ok(plan) = attention.plan(problem) else { return };
            made.set(made.get() + 1);
            assert!(!refused, "a problem that is refused has a plan");
            let program = Program::new(problem, attention.caps(), Choice::Suggested).expect("it has a plan");
            check_all(problem, attention.caps(), &program);
            assert!(!plan.explain().to_string().is_empty());
            for view in plan.views() {
                let bytes = view.bytes().expect("a plan has it");
                assert!(bytes <= *most, "{view:?}");
                assert!(view.tensor != Tensor::Workspace || bytes == plan.workspace_bytes(), "{view:?}");
            }
            assert!(plan.bind(&Bindings::new()).is_err(), "there are no buffers");
        },
    );
    println!("plans: {} of them were made", made.get());
}
