//! Every refusal of a buffer, and that it is nobody else's business.

use wgpu_attention::{
    Algorithm, Align, Attention, Bindings, Error, Gpu, Inputs, Layout, Mask, Plan, Spec, Tensor, wgpu,
};

use super::{Noop, SHAPE, bindings, now};

const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE;

/// A plan with a workspace and every output that needs none, and its buffers.
fn plan(noop: &Noop) -> (Plan, Vec<wgpu::Buffer>) {
    let plan = noop.attention.plan(Spec::new(SHAPE).lse().sinks()).expect("the spec is fine");
    let buffers = noop.buffers(&plan);
    (plan, buffers)
}

/// Binds with one tensor elsewhere.
fn rebound(plan: &Plan, buffers: &[wgpu::Buffer], tensor: Tensor, slice: wgpu::BufferSlice<'_>) -> Result<(), Error> {
    plan.bind(&bindings(plan, buffers).set(tensor, slice)).map(drop)
}

#[test]
fn each_tensor_is_checked_by_name() {
    let noop = Noop::new();
    let (plan, buffers) = plan(&noop);
    let names: Vec<_> = plan.views().map(|view| view.tensor.name()).collect();
    assert_eq!(names, ["q", "k", "v", "out", "sinks", "lse", "workspace"]);
    for (i, view) in plan.views().enumerate() {
        let (name, needs) = (view.tensor.name(), view.bytes().expect("it has a size"));
        let others = plan.views().zip(&buffers).filter(|(other, _)| other.tensor != view.tensor);
        let missing = others.fold(Bindings::new(), |all, (view, buffer)| all.set(view.tensor, buffer.slice(..)));
        assert_eq!(plan.bind(&missing).map(drop), Err(Error::Missing { name, needs }));
        let short = rebound(&plan, &buffers, view.tensor, buffers[i].slice(..needs - 4));
        assert_eq!(short, Err(Error::Size { name, got: needs - 4, needs }));
        let long = noop.buffer(needs + 512, STORAGE);
        assert_eq!(rebound(&plan, &buffers, view.tensor, long.slice(256..)), Ok(()));
        let offset = rebound(&plan, &buffers, view.tensor, long.slice(128..));
        assert_eq!(offset, Err(Error::Offset { name, offset: 128, align: 256 }));
        let other = noop.buffer(needs, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::UNIFORM);
        let usage = rebound(&plan, &buffers, view.tensor, other.slice(..));
        assert_eq!(usage, Err(Error::Usage { name, needs: "STORAGE" }));
    }
    for tensor in [Tensor::Weights, Tensor::Scores] {
        let unused = rebound(&plan, &buffers, tensor, buffers[0].slice(..));
        assert_eq!(unused, Err(Error::Unused { name: tensor.name() }));
    }
    assert_eq!(noop.uncaught(), 0);
}

#[test]
fn overlap_with_a_written_tensor_is_refused() {
    let noop = Noop::new();
    for shared in [false, true] {
        let spec = if shared { Spec::new(SHAPE).lse().shared_buffer() } else { Spec::new(SHAPE).lse() };
        let plan = noop.attention.plan(&spec).expect("the spec is fine");
        let (buffers, one) = (noop.buffers(&plan), noop.buffer(4096, STORAGE));
        let both = |a: (Tensor, u64), b: (Tensor, u64)| {
            let all = bindings(&plan, &buffers).set(a.0, one.slice(a.1..)).set(b.0, one.slice(b.1..));
            plan.bind(&all).map(drop)
        };
        let views: Vec<_> = plan.views().collect();
        for (i, a) in views.iter().enumerate() {
            for b in &views[i + 1..] {
                let (x, y) = (a.tensor.name(), b.tensor.name());
                let written = a.written || b.written;
                let overlap = if written { Err(Error::Overlap { a: x, b: y }) } else { Ok(()) };
                assert_eq!(both((a.tensor, 0), (b.tensor, 0)), overlap, "{x} {y}");
                // The first byte of one is the last of the other, as far as alignment allows.
                let inside = (a.bytes().expect("it has a size") - 1) / 256 * 256;
                assert_eq!(both((a.tensor, 0), (b.tensor, inside)), overlap, "{x} {y}");
                let apart = if written && !shared { Err(Error::SharedBuffer { a: x, b: y }) } else { Ok(()) };
                assert_eq!(both((a.tensor, 0), (b.tensor, 2048)), apart, "{x} {y}");
                assert_eq!(both((a.tensor, 2048), (b.tensor, 0)), apart, "{x} {y}");
                // Side by side: q and out end where the next may begin.
                let next = |view: &wgpu_attention::View| view.bytes().expect("it has a size").next_multiple_of(256);
                assert_eq!(both((a.tensor, 0), (b.tensor, next(a))), apart, "{x} {y}");
                assert_eq!(both((a.tensor, next(b)), (b.tensor, 0)), apart, "{x} {y}");
            }
        }
    }
    assert_eq!(noop.uncaught(), 0);
}

#[test]
fn the_setter_that_a_refusal_names_helps() {
    let noop = Noop::new();
    let pool = noop.buffer(8192, STORAGE);
    let slices = |plan: &Plan| {
        let places = plan.views().zip([0, 1024, 2048, 3072, 4096, 5120, 6144]);
        let all = places.map(|(view, at)| (view.tensor, pool.slice(at..at + 1024)));
        all.fold(Bindings::new(), |bindings, (tensor, slice)| bindings.set(tensor, slice)).clone()
    };
    let candidates = Algorithm::candidates(&Spec::new(SHAPE), noop.attention.caps()).expect("the spec is fine");
    assert_eq!(candidates.len(), 3, "all but matrices");
    for algorithm in candidates {
        let plan = |spec| noop.attention.plan_with(algorithm, &spec).expect("the spec is fine");
        let refusal = plan(Spec::new(SHAPE).lse());
        let refusal = refusal.bind(&slices(&refusal)).expect_err("one buffer is read and written");
        assert_eq!(refusal, Error::SharedBuffer { a: "q", b: "out" });
        assert!(refusal.to_string().ends_with("set Spec::shared_buffer"));
        let shared = plan(Spec::new(SHAPE).lse().shared_buffer());
        let bound = shared.bind(&slices(&shared)).expect("shared_buffer allows it");
        noop.submitted(|encoder| bound.encode(encoder));
    }
}

#[test]
fn inputs_may_lie_in_one_another() {
    let noop = Noop::new();
    // [batch, len, 3, heads, dim], as one projection writes it.
    let third = |n: u64| Layout { offset: n * 32, batch: 480, head: 8, row: 96 };
    let shape = wgpu_attention::Shape { kv_heads: 4, q_len: 5, ..SHAPE };
    let packed = Spec::new(shape).q_layout(third(0)).k_layout(third(1)).v_layout(third(2));
    let packed = packed.mask(Mask::causal()).align(Align::Start);
    for spec in [packed.clone(), packed.shared_buffer()] {
        let plan = noop.attention.plan(&spec).expect("the spec is fine");
        let (qkv, out) = (noop.buffer(960 * 4, STORAGE), noop.buffer(4096, STORAGE));
        let all = Bindings::new().q(qkv.slice(..)).k(qkv.slice(..)).v(qkv.slice(..)).out(out.slice(..));
        let bound = plan.bind(&all).expect("inputs may overlap");
        noop.submitted(|encoder| bound.encode(encoder));
    }
}

/// Two devices of one instance.
fn neighbours() -> [Noop; 2] {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::NOOP,
        backend_options: wgpu::BackendOptions { noop: wgpu::NoopBackendOptions::enabled(), ..Default::default() },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    [(); 2].map(|()| {
        let adapter = now(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).expect("noop is there");
        let (device, queue) = now(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("and enabled");
        Noop::on(device, queue)
    })
}

#[test]
fn buffers_of_another_device_are_refused() {
    let [noop, other] = neighbours();
    let (plan, buffers) = plan(&noop);
    for (i, view) in plan.views().enumerate() {
        let foreign = other.buffer(buffers[i].size(), STORAGE);
        let refusal = rebound(&plan, &buffers, view.tensor, foreign.slice(..)).expect_err("it is another device's");
        let Error::Device { what: "a bind group", because } = &refusal else { panic!("{refusal}") };
        assert!(because.contains("doesn't match"), "{because}");
    }
    let gone = &buffers[2];
    gone.destroy();
    assert!(matches!(plan.bind(&bindings(&plan, &buffers)), Err(Error::Device { what: "a bind group", .. })));
    assert_eq!((noop.uncaught(), other.uncaught()), (0, 0));
}

#[test]
fn the_callers_handlers_see_only_the_callers_errors() {
    let noop = Noop::new();
    let (plan, buffers) = plan(&noop);
    let scope = noop.device.push_error_scope(wgpu::ErrorFilter::Validation);
    buffers[0].destroy();
    assert!(plan.bind(&bindings(&plan, &buffers)).is_err(), "a driver's refusal");
    assert!(plan.bind(&Bindings::new()).is_err(), "one of this crate");
    assert!(noop.attention.plan(Spec::new(SHAPE).append(0)).is_err());
    assert!(noop.attention.plan(Spec::new(SHAPE).scale(f32::NAN)).is_err());
    let few = wgpu_attention::Caps { invocations: 1, ..wgpu_attention::Caps::webgpu() };
    assert!(noop.attention.limited(few).plan(Spec::new(SHAPE)).is_err());
    let gpu = Gpu::from_device(noop.device.clone(), noop.queue.clone());
    assert!(gpu.run(Spec::new(SHAPE), &Inputs::new(&[], &[], &[])).is_err());
    assert!(now(scope.pop()).is_none(), "the caller's scope caught what was not the caller's");
    assert_eq!(noop.uncaught(), 0);
    noop.buffer(1 << 60, STORAGE);
    assert_eq!(noop.uncaught(), 1, "the caller's handler is in place");
    let ours = noop.device.push_error_scope(wgpu::ErrorFilter::Validation);
    noop.buffer(1 << 60, STORAGE);
    assert!(now(ours.pop()).is_some(), "and so are scopes");
}

#[test]
fn devices_with_less_are_refused_or_served() {
    let noop = Noop::new();
    let less = wgpu_attention::Caps { binding_bytes: 31, ..wgpu_attention::Caps::webgpu() };
    let limited: Attention = noop.attention.limited(less);
    let refusal = limited.plan(Spec::new(SHAPE)).map(drop);
    assert_eq!(refusal, Err(Error::BindingLimit { name: "q", bytes: 32, max: 28 }));
    let more = wgpu_attention::Caps { workgroup_bytes: 1 << 20, ..wgpu_attention::Caps::webgpu() };
    assert_eq!(noop.attention.limited(more).caps().workgroup_bytes, 16384, "no more than the device has");
}
