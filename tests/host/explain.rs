//! What `Plan::explain` says is what the kernels do.

use wgpu_attention::{
    Activation, Align, Angles, Attention, BlockForm, Caps, DType, Divergence, Embed, Layout, Linear, Locate, Mask,
    Merge, Norm, Pairs, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec, wgpu,
};

/// 64 x 64, which is 2 x 2 tiles of 32 x 32; a causal mask empties one of them.
const SHAPE: Shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 64, kv_len: 64, head_dim: 64, value_dim: 64 };

const ROTARY: Rotary = Rotary { dim: 32, pairs: Pairs::Halves, angles: Angles::Appended { positions: 64 } };

fn said(problem: impl Into<Problem>, caps: Caps) -> Vec<String> {
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let plan = Attention::new(&device).limited(caps).plan(problem).expect("a legal problem");
    plan.explain().to_string().lines().map(|line| line.trim().to_string()).collect()
}

/// The lines that start so.
fn lines(problem: impl Into<Problem>, start: &str) -> Vec<String> {
    said(problem, Caps::webgpu()).into_iter().filter(|line| line.starts_with(start)).collect()
}

fn tiles(spec: &Spec) -> Vec<String> {
    lines(spec, "tiles of ")
}

const ALL: &str = "tiles of 32 queries x 32 keys, 4";
const CAUSAL: &str = "tiles of 32 queries x 32 keys, 3; 1 more that the mask empties are skipped";

#[test]
fn skipped_tiles_are_counted_for_each_kernel() {
    let causal = Spec::new(SHAPE).mask(Mask::causal()).align(Align::End);
    assert_eq!(tiles(&Spec::new(SHAPE)), [ALL]);
    assert_eq!(tiles(&causal), [CAUSAL]);
    assert_eq!(tiles(&causal.clone().weights()), [CAUSAL, CAUSAL], "tile and scores");
    assert_eq!(tiles(&causal.clone().scores(ScoreStage::Masked)), [CAUSAL, CAUSAL]);
    assert_eq!(
        tiles(&causal.clone().scores(ScoreStage::Scaled)),
        [CAUSAL, ALL],
        "hidden pairs have a scaled score too"
    );
    let heads = Spec::new(Shape { batch: 3, q_heads: 2, ..SHAPE }).mask(Mask::causal()).align(Align::End);
    assert_eq!(tiles(&heads), ["tiles of 32 queries x 32 keys, 18; 6 more that the mask empties are skipped"]);
    let masked = causal.keep(Layout::broadcast(&[64, 64]).expect("two sizes"), 64);
    let and_read = "and those that masks in memory empty";
    assert_eq!(tiles(&masked), [format!("{CAUSAL}, {and_read}")]);
    let device = "at most 4; the device skips those past a length, outside a sequence or that a mask empties";
    assert_eq!(tiles(&masked.kv_lens()), [format!("tiles of 32 queries x 32 keys, {device}")]);
}

#[test]
fn pieces_have_the_tiles_of_the_whole() {
    let causal = Spec::new(Shape { q_heads: 3, ..SHAPE }).mask(Mask::causal()).align(Align::End);
    let caps = Caps { binding_bytes: 16384, ..Caps::webgpu() };
    let found = said(causal, caps).into_iter().filter(|line| line.starts_with("tiles of ")).collect::<Vec<_>>();
    assert_eq!(found, ["tiles of 32 queries x 32 keys, 9; 3 more that the mask empties are skipped"]);
}

#[test]
fn features_have_a_line_each() {
    let square = Layout::broadcast(&[64, 64]).expect("two sizes");
    let spec = Spec::new(SHAPE).softcap(30.0).bias(square, 60).bias_type(DType::F16).keep(square, 64).sinks();
    let form = BlockForm { q_len: 64, kv_len: 64, block: 32, heads: 1, partial: 3 };
    let spec = spec
        .block_mask(form)
        .keep_type(DType::Bit)
        .alibi(Slopes::Head)
        .align(Align::End)
        .mask(Mask::causal())
        .weights();
    let spec = spec.additive().head_scales();
    let spec = spec.append_rotated(2, ROTARY).only(0..1, 3..9).kv_type(DType::Bf16);
    let said = said(&spec, Caps::webgpu());
    for line in [
        "algorithm   tile: on a GPU, tiles in workgroup memory read keys and values least often",
        "head_dim 64, value_dim 64, query i sees keys up to its own key+0, the last query standing at the last key",
        "2 new keys appended to each item, 32 elements of each key turned",
        "key lengths that the device reads",
        "scores capped at 30.0",
        "bias in f16 of 60 columns",
        "keep-mask in bits",
        "block mask in blocks of 32, 3 of them at most in part",
        "ALiBi, a slope per head",
        "a learned sink per head",
        "additive scores: weighted sums of tanh",
        "a factor on the scores of each head",
        "weights of heads 0..1, rows 3..9",
        "precision   q f32, k and v bf16, out f32; accumulated in f32",
        "kernel      rotary: rows bf16 in words, four at a time; out bf16 in words, four at a time",
        "kernel      classify: masks and bias, one at a time",
        "kernel      tile: q f32, four at a time; k bf16 in words, four at a time; v bf16 in words, four at a time; \
         out f32, four at a time",
    ] {
        assert!(said.iter().any(|said| said == line), "{line:?} is not among\n{}", said.join("\n"));
    }
    // A word for the slope, the sink, the length and the factor, 64 weights; two for each row's state; one for the classes of each block of rows.
    let cost = said.last().expect("lines");
    assert!(cost.ends_with(&format!(", {} of them workspace", 4 * (4 + 64 + 2 * 64 + 2))), "{cost}");
}

#[test]
fn other_problems_say_what_they_are() {
    let rope = lines(Rope::new([2, 3, 5, 64], Rotary { angles: Angles::Rows, ..ROTARY }), "problem");
    assert_eq!(rope, ["problem     rotary embedding of 32 of 64 elements of 5 rows, 3 heads, batch 2"]);
    let merge = lines(Merge::new(7, [2, 3, 5, 64]), "problem");
    assert_eq!(merge, ["problem     merge of 7 parts of 5 rows of 64, 3 heads, batch 2"]);
    let divergence = lines(Divergence::new([2, 3, 5, 64]), "problem");
    assert_eq!(divergence, ["problem     divergence of two attentions, 5 rows of 64 weights, 3 heads, batch 2"]);
    let linear = lines(Linear::new(5, 64, 128).activation(Activation::Gelu), "problem");
    assert_eq!(linear, ["problem     linear layer of 5 rows, 64 to 128, activation Gelu"]);
    assert_eq!(lines(Norm::rms(5, 64, 1e-5), "problem"), ["problem     normalisation of 5 rows of 64, Rms"]);
    assert_eq!(lines(Embed::new(5, 100, 64), "problem"), ["problem     5 rows of 64 from a table of 100"]);
    let locate = lines(Locate::new([2, 3, 5, 64], 10, 7), "problem");
    assert_eq!(locate, ["problem     10 filters, 7 keys wide, over 5 keys of 64, 3 heads, batch 2"]);
    let packed = lines(Spec::new(SHAPE).packed(4), "4 packed");
    assert_eq!(packed, ["4 packed sequences, whose lengths the device reads"]);
}
