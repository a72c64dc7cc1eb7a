//! Values that a check refuses make no public function panic, whatever is called before the check; and what is far too large is refused
//! at once, not after its pieces were listed.

use std::time::{Duration, Instant};

use wgpu_attention::{
    Algorithm, Attention, Autotune, BlockForm, Caps, DType, Error, Grid, Inputs, Linear, Norm, Problem, Shape, Spec,
    kernels::Choice, nn, program::Program, wgpu,
};

const NONE: Shape = Shape { batch: 1, q_heads: 4, kv_heads: 0, q_len: 3, kv_len: 5, head_dim: 8, value_dim: 8 };
const HUGE: Shape = Shape {
    batch: u32::MAX,
    q_heads: u32::MAX,
    kv_heads: u32::MAX,
    q_len: u32::MAX,
    kv_len: u32::MAX,
    head_dim: u32::MAX,
    value_dim: u32::MAX,
};

fn noop() -> Attention {
    Attention::new(&wgpu::Device::noop(&wgpu::DeviceDescriptor::default()).0)
}

#[test]
fn refused_problems_panic_nowhere() {
    let attention = noop();
    for shape in [NONE, HUGE, Shape { q_heads: 0, ..NONE }, Shape { kv_heads: 1, value_dim: 1 << 31, ..NONE }] {
        let spec = Spec::new(shape).lse().weights().sinks();
        assert!(spec.check().is_err());
        assert!(attention.plan(&spec).is_err());
        assert!(attention.plan_with(Algorithm::Decode, &spec).is_err());
        assert!(attention.with_autotune(&Autotune::default()).plan(&spec).is_err());
        assert_eq!(Autotune::default().get(&spec, &Caps::webgpu()), None);
        assert!(Algorithm::candidates(&spec, &Caps::webgpu()).is_err());
        assert!(Inputs::new(&[], &[], &[]).check(&spec).is_err());
        let views: Vec<_> = Problem::from(&spec).views().collect();
        assert!(views.iter().all(|view| view.extent().is_ok() || view.bytes().is_err()));
        let _ = (spec.band(), spec.offset(), spec.scale_or_default(), spec.dropped(&[0, u32::MAX]));
    }
    assert_eq!(attention.plan(Spec::new(NONE)).map(drop), Err(Error::Zero { name: "kv_heads" }));
}

#[test]
fn refused_masks_and_grids_panic_nowhere() {
    for block in [0, 1, u32::MAX] {
        let form = BlockForm { q_len: u32::MAX, kv_len: u32::MAX, block, heads: u32::MAX, partial: u32::MAX };
        assert!(form.check().is_err());
        let _ = form.words();
    }
    let grids = [
        Grid::neighbourhood(0, 0, 0),
        Grid::neighbourhood(u32::MAX, u32::MAX, u32::MAX),
        Grid::windows(3, 0, 0, 5),
        Grid::windows(u32::MAX, 1, u32::MAX, u32::MAX),
    ];
    for grid in grids {
        for i in [0, 7, u32::MAX] {
            let _ = grid.near(i);
        }
    }
}

#[test]
fn refused_layers_panic_nowhere() {
    let attention = noop();
    let tensors = || [("w", [2, 2].as_slice(), [0.0; 4].as_slice())];
    let mut weights = nn::StateDict::of(&attention, tensors()).expect("four numbers");
    for said in [
        weights.split::<0>("w", &[2, 2]).map(drop),
        weights.split::<3>("w", &[2, 2]).map(drop),
        weights.split::<1>("w", &[]).map(drop),
    ] {
        assert!(matches!(said, Err(Error::StateDict { .. })), "{said:?}");
    }
    assert!(weights.split::<2>("w", &[2, 2]).is_ok());
    let mut graph = nn::Graph::new(&attention);
    graph.input(u32::MAX, u32::MAX, DType::F32);
    assert!(matches!(graph.compile(), Err(Error::BufferLimit { name: "a node", .. })));
    for embed_dim in [u32::MAX, 1 << 31, 0] {
        let loaded = nn::EncoderLayer::load(&mut weights, "", &nn::LayerConfig::new(embed_dim, 1, embed_dim));
        assert!(loaded.is_err(), "{embed_dim}");
        assert!(nn::MultiHeadAttention::load(&mut weights, "", nn::Heads::new(embed_dim, 0)).is_err());
    }
}

/// Gigabytes of pieces would be listed first, if they were not counted.
#[test]
fn what_is_far_too_large_is_refused_at_once() {
    let rows = |batch, q_heads, q_len, kv_len| {
        Spec::new(Shape { batch, q_heads, kv_heads: q_heads, q_len, kv_len, head_dim: 64, value_dim: 64 })
    };
    let problems: [Problem; 6] = [
        Linear::new(1 << 29, 1 << 20, 1 << 20).into(),
        Norm::layer(1 << 29, 1 << 20, 1e-5).into(),
        rows(1 << 20, 1024, 1 << 20, 16).into(),
        rows(65536, 4096, 65536, 65536).into(),
        rows(1, 1, 1, 1 << 29).into(),
        rows(1, 1, 1 << 29, 1 << 29).weights().into(),
    ];
    for problem in problems {
        for binding_bytes in [128 << 20, 4096, 1024] {
            let (start, caps) = (Instant::now(), Caps { binding_bytes, ..Caps::webgpu() });
            let refused = Program::new(&problem, &caps, Choice::Suggested).map(|program| program.steps.len());
            let took = start.elapsed();
            let fits = matches!(refused, Ok(steps) if steps <= 1 << 16);
            assert!(
                fits || matches!(
                    refused,
                    Err(Error::TooLarge { .. } | Error::BindingLimit { .. } | Error::Overflow { .. })
                ),
                "{refused:?}"
            );
            assert!(took < Duration::from_secs(2), "{problem:?} at {binding_bytes} bytes took {took:?}: {refused:?}");
        }
    }
}
