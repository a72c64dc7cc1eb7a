//! What `Plan::explain` says is what the kernels do.

use wgpu_attention::{
    Activation, Align, Angles, Attention, BlockForm, Caps, DType, DeviceKind, Divergence, Embed, Layout, Linear,
    Locate, Mask, Merge, Norm, Order, Pairs, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec, wgpu,
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
    said(spec, Caps::webgpu()).into_iter().filter(|line| line.contains(" of 32 queries x 32 keys")).collect()
}

const ALL: &str = "4 tiles of 32 queries x 32 keys";
const CAUSAL: &str = "3 tiles of 32 queries x 32 keys; 1 more is skipped";

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
    assert_eq!(tiles(&heads), ["18 tiles of 32 queries x 32 keys; 6 more are skipped"]);
    let masked = causal.keep(Layout::broadcast(&[64, 64]).expect("two sizes"), 64);
    let and_read = "and those in which a mask in memory hides every pair";
    assert_eq!(tiles(&masked), [format!("{CAUSAL}, {and_read}")]);
    let device = "at most 4 tiles of 32 queries x 32 keys; the device skips those without a pair that is seen";
    assert_eq!(tiles(&masked.kv_lens()), [device]);
}

#[test]
fn pieces_have_the_tiles_of_the_whole() {
    let causal = Spec::new(Shape { q_heads: 3, ..SHAPE }).mask(Mask::causal()).align(Align::End);
    let caps = Caps { binding_bytes: 16384, ..Caps::webgpu() };
    let found =
        said(causal, caps).into_iter().filter(|line| line.contains(" of 32 queries x 32 keys")).collect::<Vec<_>>();
    assert_eq!(found, ["9 tiles of 32 queries x 32 keys; 3 more are skipped"]);
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
        "head_dim 64, value_dim 64, scale 1, query i sees the keys up to its own; the last query stands at the last key",
        "2 new keys appended to each item; 32 elements of each new key and query rotated",
        "outputs     k, v, out, weights",
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
        "kernel      rotary: rows bf16 unpacked from words, 4 per load; out bf16 unpacked from words, 4 per load",
        "kernel      classify: masks and bias, one at a time",
        "kernel      tile: q f32, 4 per load; k bf16 unpacked from words, 4 per load; v bf16 unpacked from words, 4 per load; \
         out f32, 4 per load",
    ] {
        assert!(said.iter().any(|said| said == line), "{line:?} is not among\n{}", said.join("\n"));
    }
    // A word for the slope, the sink, the length and the factor, 64 weights; two for each row's state; one for the classes of each block of rows.
    // The queries before that, turned.
    let cost = said.iter().find(|line| line.starts_with("cost")).expect("a line");
    let bytes = 4 * (64 * 64 + 4 + 64 + 2 * 64 + 2);
    assert!(cost.ends_with(&format!(", {bytes} of them workspace")), "{cost}");
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

#[test]
fn layouts_and_what_would_be_faster_are_told() {
    let spec = Spec::new(Shape { head_dim: 63, value_dim: 63, ..SHAPE }).order(Order::Bshd);
    let faster = "faster      with sizes, strides and offsets that are multiples of 4: elements are loaded one by one";
    assert_eq!(lines(&spec, "faster"), [faster]);
    assert_eq!(lines(Spec::new(SHAPE), "faster"), [""; 0]);
    let heads = Spec::new(Shape { q_heads: 2, kv_heads: 2, ..SHAPE });
    let layout = "layout      q [batch, len, heads, dim], from element 0, strides 8192 (batch), 64 (head), 128 (row)";
    assert_eq!(lines(heads.order(Order::Bshd), "layout      q"), [layout]);
    let software = Caps { kind: DeviceKind::Cpu, ..Caps::webgpu() };
    let said = said(Spec::new(SHAPE), software);
    assert!(said.iter().any(|line| line.ends_with("this adapter is a software driver")), "{said:?}");
}
