//! Every variant of `Error`, produced where software can produce it, with its exact text.

use std::{process::Command, sync::LazyLock};

use wgpu_attention::{
    Activation, Algorithm, Angles, Attention, Bindings, BlockForm, Caps, DType, Error, Gpu, Inputs, Layout, Mask, Norm,
    Pairs, Plan, Problem, Rotary, Shape, Spec,
    inspect::{PatchRegions, plot::Overlay},
    kernels, nn,
    program::Program,
    wgpu,
};

use super::{resized, spec};

/// A variant, how to provoke it, and what it says.
type Case = (Variant, fn() -> Error, &'static str);

/// The name of a variant, and whether an error is one.
type Variant = (&'static str, fn(&Error) -> bool);

macro_rules! variant {
    ($Name:ident) => {
        (stringify!($Name), |error| matches!(error, Error::$Name { .. }))
    };
}

/// A block mask for the shape of [`spec`], but for its queries.
const fn form(block: u32, q_len: u32) -> BlockForm {
    BlockForm { q_len, kv_len: 5, block, heads: 1, partial: 1 }
}

const TILES: kernels::Workgroup = kernels::Workgroup { invocations: 64, bytes: 0, rows: 32, keys: 32, grouped: false };

const CASES: &[Case] = &[
    (variant!(Zero), || refused(&resized("q_len", 0)), "q_len is 0"),
    (variant!(TooLarge), || refused(&resized("head_dim", 600)), "head_dim 600 is above 512"),
    (variant!(Overflow), || refused(&spec().v_layout(FAR)), "the size of v overflows 64 bits"),
    (variant!(Heads), || refused(&resized("kv_heads", 3)), "4 query heads cannot share 3 key heads evenly"),
    (variant!(NotFinite), || refused(&spec().scale(f32::NAN)), "scale is NaN, not a finite number"),
    (
        variant!(NotPositive),
        || Problem::from(Norm::rms(1, 1, 0.0)).check().expect_err("it is refused"),
        "epsilon is 0, not a normal number above 0",
    ),
    (
        variant!(Subnormal),
        || refused(&spec().scale(1e-40)),
        "scale is 1e-40, a subnormal number, which a device may take for 0",
    ),
    (
        variant!(Softcap),
        || refused(&spec().softcap(f32::MAX)),
        "softcap is 3.4028235e38, above 1e30: leave it out where scores are not capped",
    ),
    (
        variant!(Beyond),
        || {
            let (q, mut k, v) = ([0.0; 192], [0.0; 160], [0.0; 120]);
            k[7] = -1e5;
            let gpu = Gpu::from_device(NOOP.0.clone(), NOOP.1.clone());
            gpu.run(spec().kv_type(DType::F16), &Inputs::new(&q, &k, &v)).expect_err("it is no f16")
        },
        "element 7 of k is -1e5, beyond what f16 holds",
    ),
    (variant!(Odd), || refused(&spec().append_rotated(1, rotary(3))), "rotary dim 3 is odd"),
    (variant!(Block), || refused(&spec().block_mask(form(48, 3))), "block 48 is not a power of two from 16 to 256"),
    (
        variant!(BlockMask),
        || refused(&spec().block_mask(form(64, 4))),
        "the block mask is made for q_len 4, the shape has 3",
    ),
    (variant!(Type), || refused(&spec().q_type(DType::U32)), "q_type is u32, not f32, f16 or bf16"),
    (
        variant!(Conflict),
        || refused(&spec().packed(2)),
        "packed does not go with a batch of more than one: the sequences are the batch",
    ),
    (variant!(Range), || refused(&spec().weights().only(0..4, 2..2)), "rows 2..2 are empty or outside 0..3"),
    (variant!(Unequal), unequal, "attentions that are compared differ in kv_len: 5 and 4"),
    (
        variant!(NoOutput),
        || refused(&spec().without_out()),
        "nothing to compute: without out, ask for lse, weights or scores",
    ),
    (
        variant!(Align),
        || refused(&spec().mask(Mask::causal())),
        "a causal mask, a window or ALiBi needs Spec::align: say where query 0 stands among the keys",
    ),
    (
        variant!(Strides),
        || refused(&spec().out_layout(Layout { offset: 0, batch: 9, head: 9, row: 9 })),
        "out may be written twice at one address: of its strides 9 (batch), 9 (head) and 9 (row), each must step over all that smaller ones reach",
    ),
    // All that is declared is built; those who read cases from files refuse what they cannot ask for.
    (variant!(NotBuilt), || Error::NotBuilt { feature: "op mha" }, "op mha is not built yet"),
    (
        variant!(Kernel),
        || kernels::Classify::new(&spec(), &Caps::webgpu(), TILES).expect_err("it has no masks"),
        "kernel classify cannot run: there is neither a bias nor a keep-mask nor a block mask",
    ),
    (
        variant!(BindingLimit),
        || {
            Program::new(spec(), &Caps { binding_bytes: 31, ..Caps::webgpu() }, kernels::Choice::Suggested)
                .expect_err("a row is longer")
        },
        "q takes 32 bytes for one row of work, above the 28 that this device binds",
    ),
    (
        variant!(BufferLimit),
        || {
            let shape =
                Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1 << 20, kv_len: 1 << 20, head_dim: 4, value_dim: 4 };
            Attention::new(&NOOP.0).plan(Spec::new(shape).weights()).expect_err("nothing has so much memory")
        },
        "weights takes 4398046511104 bytes (4.0 TiB), above the 268435456 bytes (256.0 MiB) that one buffer of this device can have",
    ),
    (variant!(Missing), || unbound(&Bindings::new()), "binding q is missing; it takes 768 bytes"),
    (
        variant!(Unused),
        || unbound(&all().lse(BUFFERS[4].slice(..))),
        "binding lse is given, but this plan does not use it",
    ),
    (variant!(Size), || unbound(&all().k(BUFFERS[1].slice(256..))), "binding k has 512 bytes, needs 640"),
    (
        variant!(Offset),
        || unbound(&all().v(BUFFERS[2].slice(4..))),
        "binding v starts at byte 4, not a multiple of 256",
    ),
    (variant!(Usage), || unbound(&all().v(BUFFERS[5].slice(..))), "the buffer of binding v lacks usage STORAGE"),
    (
        variant!(Overlap),
        || unbound(&all().out(BUFFERS[0].slice(..))),
        "bindings q and out overlap, and one of them is written",
    ),
    (
        variant!(SharedBuffer),
        || unbound(&all().q(BUFFERS[6].slice(..1024)).out(BUFFERS[6].slice(1024..))),
        "bindings q and out lie in one buffer, and one of them is written: set Spec::shared_buffer",
    ),
    (variant!(Steps), steps, "steps 1..2 are outside 0..1"),
    (
        variant!(MissingInput),
        || Inputs::new(&[0.0; 192], &[0.0; 160], &[0.0; 120]).check(spec().sinks()).expect_err("no sinks"),
        "input sinks is missing; it has 4 elements",
    ),
    (
        variant!(Starts),
        || {
            let spec = Spec::new(Shape { batch: 1, ..*spec().shape() }).packed(2);
            let inputs = Inputs::new(&[0.0; 96], &[0.0; 80], &[0.0; 60]).packed(&[0, 3, 1], &[0, 5, 5]);
            Gpu::from_device(NOOP.0.clone(), NOOP.1.clone()).run(spec, &inputs).expect_err("they go back")
        },
        "cu_q[2] is 1, outside 3..=3: each start is at least the one before and at most the number of rows",
    ),
    (
        variant!(Positions),
        || refused(&spec().append_rotated(1, Rotary { angles: Angles::Appended { positions: 4 }, ..rotary(2) })),
        "the rotary tables have 4 positions, and kv_len is 5: the keys past them would not turn",
    ),
    (
        variant!(Input),
        || Inputs::new(&[], &[], &[]).check(spec()).expect_err("they are empty"),
        "input q has 0 elements, needs 192",
    ),
    (
        variant!(UnusedInput),
        || Inputs::new(&[0.0; 192], &[0.0; 160], &[0.0; 120]).sinks(&[0.0; 4]).check(spec()).expect_err("no sinks"),
        "input sinks is given, but this problem does not read it",
    ),
    // Really provoked below, in a process of its own.
    (
        variant!(NoAdapter),
        || Error::NoAdapter { because: "...".into() },
        "no GPU adapter. A Vulkan, Metal or DX12 driver of your GPU gives one; without a GPU a software driver does \
         (package mesa-vulkan-drivers on Debian, Ubuntu and Fedora, vulkan-swrast on Arch). Looked for: ...",
    ),
    (variant!(Device), || unbound(&all().v(BUFFERS[7].slice(..))), "the device refused a bind group: ..."),
    // No software driver runs out of memory on demand: with wgpu's budgets none makes a device, and limits on addresses are not seen.
    (
        variant!(OutOfMemory),
        || Error::OutOfMemory { what: "q", because: "...".into() },
        "the device is out of memory for q: ...",
    ),
    // Really provoked in tests/device/trouble.rs, on drivers that end a wait.
    (variant!(Timeout), || Error::Timeout { seconds: 0.5 }, "the device did not finish within 0.5 s"),
    (variant!(Lost), lost, "the device was lost: ..."),
    (
        variant!(StateDict),
        || nn::Linear::load(&mut state(&[2, 3]), "up", 3, 2).expect_err("it is turned"),
        "state dict: up.weight: it is [2, 3], and [3, 2] is expected",
    ),
    (
        variant!(Node),
        || {
            let up = nn::Linear::load(&mut state(&[2, 3]), "up", 2, 3).expect("it fits");
            let mut graph = nn::Graph::new(&Attention::new(&NOOP.0));
            let x = graph.input(1, 4, DType::F32);
            up.forward(&mut graph, x, Activation::None, None).expect_err("it is wide")
        },
        "x has width 4, needs 3",
    ),
    (
        variant!(Batch),
        || {
            let attention = nn::MultiHeadAttention::of(1, std::array::from_fn(|_| linear())).expect("they fit");
            let mut graph = nn::Graph::new(&Attention::new(&NOOP.0));
            let x = graph.input(10, 2, DType::F32);
            attention.forward(&mut graph, [x; 3], &nn::CallOptions::of(3), None).expect_err("10 is no multiple of 3")
        },
        "query has 10 rows, which 3 sequences of equal length cannot share",
    ),
    (
        variant!(OtherGraph),
        || {
            let mut graphs = [(); 2].map(|()| nn::Graph::new(&Attention::new(&NOOP.0)));
            let node = graphs[0].input(1, 1, DType::F32);
            let [_, mut other] = graphs;
            other.keep(node);
            other.compile().expect_err("it is of the first")
        },
        "a node belongs to another graph than the one that it is used with",
    ),
    (
        variant!(HeadDim),
        || {
            nn::MultiHeadAttention::load(&mut state(&[2, 3]), "", nn::Heads::new(10, 4))
                .expect_err("it does not divide")
        },
        "4 heads cannot share an embedding of 10 evenly",
    ),
    (
        variant!(Picture),
        || Overlay::new(b"GIF89a", PatchRegions::new(1, 1), &[0.5]).expect_err("it is neither"),
        "cannot draw: the image is neither PNG nor JPEG",
    ),
];

fn rotary(dim: u32) -> Rotary {
    Rotary { dim, pairs: Pairs::Halves, angles: Angles::Rows }
}

const FAR: Layout = Layout { offset: u64::MAX, batch: 0, head: 0, row: 0 };

/// A state dict of one tensor of six numbers.
fn state(shape: &'static [usize]) -> nn::StateDict<'static> {
    nn::StateDict::of(&Attention::new(&NOOP.0), [("up.weight", shape, [0.0; 6].as_slice())]).expect("six numbers")
}

/// A layer of two inputs and two outputs.
fn linear() -> nn::Linear {
    let numbers = [0.0; 4];
    let tensors = [("w.weight", [2, 2].as_slice(), numbers.as_slice())];
    let mut weights = nn::StateDict::of(&Attention::new(&NOOP.0), tensors).expect("four numbers");
    nn::Linear::load(&mut weights, "w", 2, 2).expect("it fits")
}

fn refused(spec: &wgpu_attention::Spec) -> Error {
    spec.check().expect_err("this spec is refused")
}

/// The queue is kept: a device without one records nothing.
static NOOP: LazyLock<(wgpu::Device, wgpu::Queue)> =
    LazyLock::new(|| wgpu::Device::noop(&wgpu::DeviceDescriptor::default()));

/// q, k, v, out; a spare; one that cannot be bound; one for two tensors; one that is destroyed.
static BUFFERS: LazyLock<[wgpu::Buffer; 8]> = LazyLock::new(|| {
    use wgpu::BufferUsages as Usages;
    let sizes = [768, 768, 768, 768, 768, 768, 2048, 768];
    let mut usages = [Usages::STORAGE; 8];
    usages[5] = Usages::UNIFORM;
    let buffers: [_; 8] = std::array::from_fn(|i| {
        let (size, usage) = (sizes[i], usages[i]);
        NOOP.0.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    });
    buffers[7].destroy();
    buffers
});

fn plan() -> Plan {
    Attention::new(&NOOP.0).plan(spec()).expect("the spec is fine")
}

fn all() -> Bindings<'static> {
    let [q, k, v, out, ..] = &*BUFFERS;
    Bindings::new().q(q.slice(..)).k(k.slice(..)).v(v.slice(..)).out(out.slice(..))
}

fn unbound(bindings: &Bindings<'_>) -> Error {
    plan().bind(bindings).expect_err("these bindings are refused")
}

fn steps() -> Error {
    let mut encoder = NOOP.0.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let bound = plan().bind(&all()).expect("the bindings are fine");
    bound.encode_steps(&mut encoder, 1..2).expect_err("there is one step")
}

fn unequal() -> Error {
    let (gpu, data) = (Gpu::from_device(NOOP.0.clone(), NOOP.1.clone()), [0.0; 192]);
    let inputs = Inputs::without_values(&data, &data[..160]);
    gpu.compare((&spec(), &inputs), (&resized("kv_len", 4), &inputs)).expect_err("a key has no other")
}

fn lost() -> Error {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let (gpu, data) = (Gpu::from_device(device, queue), [0.0; 192]);
    let run = || gpu.run(spec(), &Inputs::new(&data, &data[..160], &data[..120]));
    run().expect("the device is there");
    gpu.device().destroy();
    run().expect_err("the device is gone")
}

/// The names of the variants, as the source has them.
fn variants() -> Vec<&'static str> {
    let source = include_str!("../../../src/error.rs");
    let body = source.split_once("pub enum Error {").expect("the enum").1;
    let names = body.lines().filter_map(|line| line.strip_prefix("    "));
    names
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.trim_end_matches([' ', '{', ',']))
        .collect()
}

#[test]
fn every_variant_has_a_case() {
    let covered: Vec<_> = CASES.iter().map(|&((variant, _), ..)| variant).collect();
    assert_eq!(covered, variants());
    println!("{} variants", covered.len());
}

/// The same with what a driver said replaced, which is the driver's business; it must have said something.
fn without_driver_text(error: Error) -> Error {
    let dots = |because: String| if because.is_empty() { because } else { "...".to_string() };
    match error {
        Error::Device { what, because } => Error::Device { what, because: dots(because) },
        Error::Lost { because } => Error::Lost { because: dots(because) },
        other => other,
    }
}

#[test]
fn every_variant_says_what_is_wrong() {
    for ((variant, is_it), provoke, text) in CASES {
        let error = without_driver_text(provoke());
        assert!(is_it(&error), "{error:?} is no {variant}");
        assert_eq!(format!("{error:?}"), error.to_string(), "`fn main() -> Result<(), Error>` prints the first");
        assert_eq!(error.to_string(), *text, "{variant}");
    }
}

#[test]
fn algorithms_without_a_device_say_what_they_lack() {
    let small = |invocations, workgroup_bytes| Caps { invocations, workgroup_bytes, ..Caps::webgpu() };
    let refusal =
        |caps| Program::new(spec(), &caps, kernels::Choice::Asked(Algorithm::Tile)).expect_err("too small").to_string();
    let few = "kernel tile cannot run: it needs 64 invocations, the device has 32";
    assert_eq!(refusal(small(32, 16384)), few);
    let little = "kernel tile cannot run: it needs 14912 bytes of workgroup memory, the device has 1000";
    assert_eq!(refusal(small(256, 1000)), little);
}

/// Runs itself again in an environment that names an adapter that no machine has.
#[test]
fn a_missing_adapter_is_named() {
    const NAME: &str = "an adapter of this name is nowhere";
    let asked = std::env::var("WGPU_ADAPTER_NAME").is_ok_and(|name| name == NAME);
    if asked {
        let error = Gpu::new().expect_err("there is no such adapter");
        assert!(matches!(&error, Error::NoAdapter { because } if because.contains(NAME)), "{error:?}");
        return;
    }
    // Not current_exe: a runner may start tests through a loader of its own.
    let this = std::env::args_os().next().expect("a test has a file");
    let (_, module) = module_path!().split_once("::").expect("the crate and the module");
    let test = format!("{module}::a_missing_adapter_is_named");
    let child = Command::new(this).args(["--exact", &test]).env("WGPU_ADAPTER_NAME", NAME).output().expect("it starts");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
