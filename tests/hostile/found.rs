//! What random inputs found, each with the smallest one that showed it.

use std::ops::Range;

use wgpu_attention::{
    Caps, DType, Error, Inputs, Layout, MapOf, Measures, Outputs, Pool, Shape, Spec, Tensor,
    inspect::{self, PatchRegions, plot::HeatMap},
    kernels::Choice,
    nn::{CallOptions, Embedding, Graph, Heads, MultiHeadAttention, StateDict},
    program::Program,
};

use crate::device;

const ONE: Shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 1, kv_len: 1, head_dim: 1, value_dim: 1 };
const NOWHERE: Layout = Layout { offset: 0, batch: 0, head: 0, row: 0 };

#[test]
fn measures_fit_bindings_below_the_alignment() {
    let program = |binding_bytes| {
        Program::new(Measures::of(&Spec::new(ONE)).rows(), &Caps { binding_bytes, ..Caps::webgpu() }, Choice::Suggested)
    };
    assert_eq!(program(27).map(drop), Err(Error::BindingLimit { name: "row_measures", bytes: 28, max: 24 }));
    assert!(program(80).is_ok_and(|program| !program.steps.is_empty()));
}

#[test]
fn workspaces_are_aligned_as_the_device_wants() {
    let caps = Caps { storage_align: 512, binding_bytes: 8192, ..Caps::webgpu() };
    let spec = Spec::new(Shape { kv_len: 5, head_dim: 511, ..ONE });
    let program = Program::new(spec, &caps, Choice::Suggested).expect("it is cut");
    let workspaces =
        program.groups.iter().flat_map(|group| &group.windows).filter(|window| window.tensor == Tensor::Workspace);
    let starts: Vec<_> = workspaces.map(|window| window.bytes.start).collect();
    assert!(starts.iter().all(|start| start.is_multiple_of(512)) && starts.contains(&512), "{starts:?}");
}

/// 2^58 rows, of inputs of one element and an output of one cell.
#[test]
fn rows_that_take_no_memory_take_dispatches() {
    let shape = Shape { q_heads: 1 << 29, q_len: 1 << 29, ..ONE };
    let measures = Measures::of(&Spec::new(shape).q_layout(NOWHERE)).map(1, 1, Pool::Sum, MapOf::AllHeads);
    let refusal = Program::new(&measures, &Caps::webgpu(), Choice::Suggested).map(drop);
    assert!(matches!(refusal, Err(Error::TooLarge { name: "the number of dispatches", .. })), "{refusal:?}");
}

#[test]
fn a_plain_row_of_many_elements_is_planned() {
    // What a forward pass would need if its keys were cut: more than 32 bits count, and none of it is used.
    let spec = Spec::new(Shape { q_len: 1 << 24, value_dim: 512, ..ONE }).lse().without_out();
    assert!(Program::new(spec, &Caps::webgpu(), Choice::Suggested).is_ok());
}

#[test]
fn measures_have_no_more_ranges_than_numbers() {
    let measures = Measures::of(&Spec::new(ONE)).ranges(u32::MAX);
    assert_eq!(
        wgpu_attention::Problem::from(measures).check(),
        Err(Error::TooLarge { name: "ranges", got: u32::MAX.into(), max: 16 })
    );
}

#[test]
fn outputs_of_other_measures_have_no_heads() {
    let mut outputs = Outputs::default();
    outputs.set(Tensor::RowMeasures, vec![0.0; 6]);
    assert_eq!(inspect::heads(&Measures::of(&Spec::new(ONE)).rows(), &outputs), []);
    assert_eq!(inspect::heads(&Measures::of(&Spec::new(Shape { q_len: 0, ..ONE })).rows(), &outputs), []);
    let far =
        Spec::new(Shape { batch: 3, ..ONE }).out_layout(Layout { offset: u64::MAX, batch: u64::MAX, head: 0, row: 1 });
    assert_eq!(Outputs::of(vec![0.0; 6]).head(far, Tensor::Out, 2, 0), None);
}

#[test]
fn regions_of_giant_grids_count_to_the_end() {
    let grid = PatchRegions::new(1 << 16, 1 << 16).after(9);
    assert_eq!((grid.patches(), grid.token(0, 1 << 16), grid.token(1, 0)), (u32::MAX, u32::MAX, 10));
    let measures = Measures::of(&Spec::new(ONE)).ranges(1);
    let mut outputs = Outputs::default();
    outputs.set(Tensor::RowMeasures, vec![0.0; 8]);
    assert_eq!(grid.region_to_region(&measures, &outputs, (0..1 << 16, 0..16)), None);
}

#[test]
fn maps_of_illegal_measures_are_refused() {
    let backwards = Range { start: 3, end: 2 };
    let backwards = Measures::of(&Spec::new(ONE).only(0..1, backwards)).map(1, 1, Pool::Sum, MapOf::EachHead);
    assert!(HeatMap::pooled(&backwards, &[]).is_err());
}

#[test]
fn layers_of_too_many_rows_are_refused() {
    let attention = wgpu_attention::Attention::new(&device::noop(1 << 16).0);
    let numbers = [0.5; 24 * 8];
    let names: [(&str, &[usize]); 3] =
        [("in_proj_weight", &[24, 8]), ("out_proj.weight", &[8, 8]), ("table.weight", &[9, 8])];
    let tensors = names.map(|(name, shape)| (name, shape, &numbers[..shape.iter().product()]));
    let mut dict = StateDict::of(&attention, tensors).expect("three tensors");
    let layer = MultiHeadAttention::load(&mut dict, "", Heads::new(8, 2)).expect("it is there");
    let mut graph = Graph::new(&attention);
    let x = graph.input(u32::MAX, 8, DType::F32);
    let [all, one] = [CallOptions::of(u32::MAX), CallOptions::of(1)];
    let refusal = layer.forward(&mut graph, [x; 3], &one.clone().measured(), None).map(drop);
    let got = 2 * u64::from(u32::MAX);
    assert_eq!(refusal, Err(Error::TooLarge { name: "query rows of all heads", got, max: u32::MAX.into() }));
    let refusal = layer.forward_streams(&mut graph, x, (&[x, x], None), &one, None).map(drop);
    assert_eq!(refusal, Err(Error::TooLarge { name: "keys of all streams", got, max: u32::MAX.into() }));
    let refusal = layer.forward_streams(&mut graph, x, (&[x], None), &all, None).map(drop);
    assert_eq!(refusal, Err(Error::TooLarge { name: "the number of projections of streams", got, max: 1 << 16 }));
    let table = Embedding::load(&mut dict, "table", 9, 8).expect("it is there");
    let (bytes, max) = (32 * u64::from(u32::MAX), 1 << 16);
    assert_eq!(table.sinusoidal(&dict, u32::MAX).map(drop), Err(Error::BufferLimit { name: "positions", bytes, max }));
}

#[test]
fn a_constant_is_as_long_as_its_node() {
    let attention = wgpu_attention::Attention::new(&device::noop(1 << 16).0);
    for (len, bytes) in [(2, 8), (0, 0)] {
        let mut graph = Graph::new(&attention);
        graph.constant(1, 1, DType::F32, &vec![1.0_f32; len]);
        assert_eq!(graph.compile().map(drop), Err(Error::Size { name: "a constant", got: bytes, needs: 4 }));
    }
}

#[test]
fn inputs_are_checked_before_they_are_read() {
    let spec = Spec::new(Shape { batch: u32::MAX, kv_len: 1 << 29, ..ONE })
        .q_layout(NOWHERE)
        .k_layout(NOWHERE)
        .v_layout(NOWHERE);
    assert_eq!(Inputs::new(&[1.0], &[1.0], &[]).check(spec), Err(Error::Input { name: "v", got: 0, needs: 1 }));
}

/// A block for each of 2^24 sequences and 100 heads: to count their tiles one by one took many seconds.
#[test]
fn many_sequences_are_explained_at_once() {
    let attention = wgpu_attention::Attention::new(&device::noop((1 << 31) - 4).0);
    let shape = Shape { q_heads: 100, kv_heads: 100, kv_len: 4, q_len: 5, head_dim: 512, value_dim: 512, ..ONE };
    let plan = attention.plan(Spec::new(shape).packed(1 << 24)).expect("its small inputs fit a binding");
    let start = std::time::Instant::now();
    let said = plan.explain().to_string();
    assert!(said.contains("16777216 packed sequences"), "{said}");
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
