//! Measured choices: what they are kept by, how they are read and written, and that a plan takes them. One test needs an adapter.

use wgpu_attention::{
    Algorithm, Align, Autotune, Caps, DType, Gpu, Layout, Mask, Shape, Spec, kernels::Choice, program::Program,
};

const SHAPE: Shape = Shape { batch: 1, q_heads: 4, kv_heads: 2, q_len: 40, kv_len: 70, head_dim: 16, value_dim: 16 };

#[test]
fn what_is_printed_is_read_again() {
    let text = "row\tone | class\ntile\tanother | class\n";
    let tuned: Autotune = text.parse().expect("it is well formed");
    assert_eq!(tuned.to_string(), "tile\tanother | class\nrow\tone | class\n");
    assert_eq!(tuned.to_string().parse(), Ok(tuned));
    assert_eq!("".parse(), Ok(Autotune::default()));
    assert_eq!("row\ta\nnonsense".parse::<Autotune>(), Err("line 2: there is no tab".into()));
    let unknown = "rov\ta".parse::<Autotune>().expect_err("no such algorithm");
    assert_eq!(unknown, "line 1: no algorithm \"rov\"; there are: tile, row, decode, matrix");
}

#[test]
fn a_measured_choice_is_explained() {
    let program = Program::new(Spec::new(SHAPE), &Caps::webgpu(), Choice::Measured(Algorithm::Row)).expect("it fits");
    assert_eq!(program.algorithm, Some(Algorithm::Row));
    assert_eq!(program.because, "measured as the fastest on this device");
    let other = Program::new(Spec::new(SHAPE), &Caps::webgpu(), Choice::Measured(Algorithm::Matrix));
    let other = other.expect("what was measured does not fit, another does");
    assert_eq!(other.algorithm, Some(Algorithm::Tile));
    assert_ne!(other.because, program.because);
    // Sizes above 2^31 have a class as well.
    let huge = Spec::new(Shape { batch: u32::MAX, ..SHAPE });
    assert_eq!(Autotune::default().get(&huge, &Caps::webgpu()), None);
}

#[test]
fn candidates_are_what_can_run_the_likely_fastest_first() {
    use Algorithm::{Decode, Matrix, Row, Tile};
    let cpu = Caps { kind: wgpu_attention::DeviceKind::Cpu, ..Caps::webgpu() };
    let matrices = Caps { f16: true, matrix: Some(16), subgroups: Some([32, 32]), ..Caps::webgpu() };
    let spec = Spec::new(SHAPE);
    let halves = spec.clone().q_type(DType::F16).kv_type(DType::F16).out_type(DType::F16);
    let few = Spec::new(Shape { q_len: 1, kv_len: 4096, ..SHAPE });
    let wide = Spec::new(Shape { head_dim: 256, ..SHAPE });
    for (spec, caps, wanted) in [
        (&spec, Caps::webgpu(), &[Tile, Row, Decode][..]),
        (&spec, cpu.clone(), &[Row, Tile, Decode]),
        (&few, Caps::webgpu(), &[Decode, Tile, Row]),
        (&few, cpu.clone(), &[Row, Tile, Decode]),
        (&wide, cpu, &[Tile, Decode]),
        (&halves, matrices.clone(), &[Matrix, Tile, Row, Decode]),
        (&spec, matrices, &[Tile, Row, Decode]),
    ] {
        assert_eq!(Algorithm::candidates(spec, &caps).expect("some fit"), wanted, "{spec:?} {caps:?}");
    }
    assert!(Algorithm::candidates(&spec, &Caps { invocations: 8, ..Caps::webgpu() }).is_err(), "none fits");
}

#[test]
#[ignore = "needs an adapter"]
fn tuned_plans_are_what_was_measured() {
    let gpu = Gpu::experimental().unwrap_or_else(|error| panic!("{error}"));
    let attention = gpu.attention();
    let keep = Layout::broadcast(&[40, 70]).expect("two sizes");
    let causal = Spec::new(SHAPE).mask(Mask::causal()).align(Align::End);
    let packed = Spec::new(Shape { q_len: 300, kv_len: 300, ..SHAPE }).packed(5);
    let specs = [causal.clone(), causal.clone().kv_lens().keep(keep, 70).weights(), packed, causal.append(3)];
    let mut tuned = Autotune::default();
    for spec in &specs {
        assert_eq!(tuned.get(spec, attention.caps()), None);
        let fastest = tuned.tune(attention, gpu.queue(), spec).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tuned.get(spec, attention.caps()), Some(fastest));
        assert_eq!(tuned.tune(attention, gpu.queue(), spec), Ok(fastest), "it is known");
    }
    // From a file, in another process.
    let read: Autotune = tuned.to_string().parse().expect("what was written");
    let again = attention.with_autotune(&read);
    for spec in &specs {
        let plan = again.plan(spec).expect("it fits");
        assert_eq!(plan.algorithm(), read.get(spec, again.caps()));
        assert!(plan.explain().to_string().contains("measured as the fastest on this device"));
    }
    // Somewhat longer is the same class; another driver, type or dimension is not.
    let of = |shape| Spec::new(shape).mask(Mask::causal()).align(Align::End);
    assert!(read.get(&of(Shape { q_len: 60, kv_len: 100, ..SHAPE }), again.caps()).is_some());
    assert!(read.get(&of(Shape { q_len: 65, ..SHAPE }), again.caps()).is_none());
    assert!(read.get(&of(Shape { head_dim: 17, ..SHAPE }), again.caps()).is_none());
    assert!(read.get(&of(SHAPE).q_type(DType::F16), again.caps()).is_none());
    let other = Caps { driver: "another".into(), ..again.caps().clone() };
    assert!(read.get(&of(SHAPE), &other).is_none());
    // A problem that nobody measured is planned as ever.
    let unknown = Spec::new(Shape { head_dim: 24, ..SHAPE });
    assert_eq!(
        again.plan(&unknown).expect("it fits").algorithm(),
        attention.plan(&unknown).expect("it fits").algorithm()
    );
}

#[test]
#[ignore = "needs an adapter"]
fn pipelines_are_kept_in_a_file() {
    let folder = std::env::temp_dir().join(format!("wgpu-attention-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("pipelines.bin");
    let out = || {
        let gpu = Gpu::new().unwrap_or_else(|error| panic!("{error}")).with_pipelines(&file);
        let data: Vec<f32> = (0..4 * 70 * 16).map(|n| (n % 13) as f32 * 0.1).collect();
        let inputs = wgpu_attention::Inputs::new(&data[..4 * 40 * 16], &data[..2 * 70 * 16], &data[..2 * 70 * 16]);
        let out = gpu.run(Spec::new(SHAPE), &inputs).expect("it runs").out().to_vec();
        (out, gpu.save_pipelines(&file).expect("it can be written"))
    };
    let (first, kept) = out();
    assert_eq!(file.is_file(), kept, "a device that keeps pipelines writes them");
    assert_eq!(out().0, first, "with pipelines from the file");
    std::fs::write(&file, b"not what was written").expect("it can be written");
    assert_eq!(out().0, first, "with a file that is none");
    std::fs::remove_dir_all(&folder).expect("it was made above");
}
