//! Bad files and what is not built yet are refused by errors that say why.

use safetensors::Dtype;
use serde_json::json;
use wgpu_attention::{
    Align, Angles, DType, Error, Layout, Mask, Order, Pairs, Problem, Rope, Rotary, ScoreStage, Shape, Slopes, Spec,
    Tensor,
};

use super::{case::Case, sample::Sample};

fn refusal(bytes: &[u8]) -> String {
    Case::parse(bytes).err().map_or_else(|| "accepted".into(), |error| error.to_string())
}

fn bshd() -> Sample {
    let sample = Sample::new().set("layout", "bshd");
    sample.f32("q", &[2, 3, 4, 4]).f32("k", &[2, 5, 2, 4]).f32("v", &[2, 5, 2, 6])
}

/// A file of this header and these bytes, with the right header length.
fn raw(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, data].concat()
}

#[test]
fn hostile_files_are_refused() {
    let whole = Sample::new().bytes();
    let with_length = |length: u64| [&length.to_le_bytes()[..], &whole[8..]].concat();
    let tensor = |shape: &str, end: u64| {
        raw(format!(r#"{{"q":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#).as_bytes(), &[0; 16])
    };
    let nested = "[".repeat(1 << 16);
    for (bytes, said) in [
        (Vec::new(), "header too small"),
        (whole[..7].to_vec(), "header too small"),
        (whole[..100].to_vec(), "bytes in a file of 100"),
        (whole[..whole.len() - 1].to_vec(), "do not end where the file does"),
        ([&whole[..], &[0]].concat(), "do not end where the file does"),
        (with_length(whole.len() as u64), "a header of"),
        (with_length(u64::MAX), "a header of 18446744073709551615 bytes"),
        (tensor("[4]", 1 << 40), "invalid shape, data type, or offset"),
        (tensor("[274877906944]", 1 << 40), "do not end where the file does"),
        (tensor("[4294967296,4294967296]", 16), "overflow"),
        (tensor("[-4]", 16), "invalid JSON in header"),
        (tensor("[4]", 16), "no metadata"),
        (raw(b"not JSON", &[]), "invalid JSON in header"),
        (raw(&[0xFF; 4], &[]), "invalid UTF-8 in header"),
        (Sample::new().file(None), "no metadata under \"case\""),
        (Sample::new().file(Some("{\"format\": ".into())), "invalid JSON"),
        (Sample::new().file(Some("[]".into())), "not a JSON object"),
        (Sample::new().file(Some(nested)), "invalid JSON"),
    ] {
        let refusal = refusal(&bytes);
        assert!(refusal.contains(said), "{refusal:?} does not say {said:?}");
    }
}

#[test]
fn no_damage_to_a_file_panics() {
    let whole = Sample::new().bytes();
    for length in 0..whole.len() {
        assert_ne!(refusal(&whole[..length]), "accepted");
    }
    let header = u64::from_le_bytes(*whole.first_chunk().expect("a length")) as usize;
    for (byte, bit) in (0..8 + header).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << bit;
        // Some of them are cases still, with another scale for instance.
        let _ = refusal(&damaged);
    }
}

#[test]
fn names_that_are_paths_are_refused() {
    for name in ["", ".", "..", "../x", "a/b", "/a", "a\\b", "c:x", ".hidden", "-x", "a\nb", "a\u{0}b"] {
        let refusal = refusal(&Sample::new().set("name", name).bytes());
        assert!(refusal.contains("is not a plain file name"), "{name:?}: {refusal}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let new = Sample::new;
    for (sample, said) in [
        (new().set("format", 2), "format is 2, not 1"),
        (new().set("op", "convolution"), "op is \"convolution\", not one of attention, rope"),
        (new().set("window_lefft", 3), "key window_lefft has no meaning here"),
        (new().set("qk_mode", 0), "key qk_mode has no meaning here"),
        (new().without("scale"), "scale is missing"),
        (new().set("scale", "half"), "scale is \"half\", not a number"),
        (new().set("scale", 1e300), "scale is inf, not a finite number"),
        (new().set("layout", "sbhd"), "layout is \"sbhd\", not one of"),
        (new().set("dtype", "f64"), "dtype is \"f64\", not one of"),
        (new().set("causal", "diagonal"), "causal is \"diagonal\", not one of"),
        (new().set("causal", "bottom_right"), "causal and align name different"),
        (new().set("window_left", -2), "window_left is -2, not -1 or a"),
        (new().set("window_right", 1u64 << 40), "window_right is"),
        (new().set("alibi", 1), "alibi is 1, not true or false"),
        (new().set("alibi", true), "alibi needs alibi_slopes"),
        (new().set("diag_offset", json!([0])), "diag_offset has 1 entries for 2"),
        (new().set("diag_offset", json!([1u64 << 31, 0])), "diag_offset is"),
        (new().set("outputs", json!([])), "outputs is empty"),
        (new().output("entropy", &[1], &[0.0]), "output entropy is unknown"),
        (new().output("out_mean", &[1], &[0.0]), "output out_mean is unknown"),
        (new().output("qk", &[1], &[0.0]), "qk_mode is missing"),
        (new().output("qk", &[1], &[0.0]).set("qk_mode", 4), "qk_mode is 4, not 0, 1, 2 or 3"),
        (new().set("tolerance", json!({})), "not of the same outputs"),
        (new().set("outputs", json!(["lse"])), "tensor out is neither an input nor an output"),
        (new().drop("k"), "input k is not in the file"),
        (new().unlist("k"), "input k is not listed"),
        (new().f32("rotation", &[3]), "input rotation has no meaning here"),
        (new().f32("alibi_slopes", &[4]), "input alibi_slopes has no meaning here"),
        (bshd().set("sample_rows", json!([0])), "sample_rows needs layout bhsd"),
    ] {
        let refusal = refusal(&sample.bytes());
        assert!(refusal.contains(said), "{refusal:?} does not say {said:?}");
    }
}

#[test]
fn wrong_shapes_and_types_are_refused() {
    let new = Sample::new;
    for (sample, said) in [
        (new().f32("q", &[2, 3, 3, 4]), "q [2, 3, 3, 4] is not of 4 heads"),
        (new().f32("q", &[2, 4, 3]), "q [2, 4, 3] is not of 4 heads"),
        (new().f32("q", &[2, 4, 3, 5]), "do not fit each other"),
        (new().f32("k", &[1, 2, 5, 4]), "do not fit each other"),
        (new().f32("v", &[2, 2, 4, 6]), "do not fit each other"),
        (new().set("q_heads", 0), "is not of 0 heads"),
        (new().set("kv_heads", 3), "is not of 3 heads"),
        (new().set("q_heads", 3).f32("q", &[2, 3, 3, 4]), "3 query heads cannot share 2 key heads evenly"),
        (new().f32("q", &[2, 4, 0, 4]), "q_len is 0"),
        (new().input("q", Dtype::I32, &[2, 4, 3, 4]), "stored as I32"),
        (new().f32("bias", &[4, 5]), "bias [4, 5] does not broadcast"),
        (new().f32("bias", &[3, 6]), "bias [3, 6] does not broadcast"),
        (new().f32("bias", &[]), "bias [] does not broadcast"),
        (new().f32("bias", &[1, 2, 4, 3, 5]), "does not broadcast"),
        (new().input("bias", Dtype::BOOL, &[5]), "stored as BOOL, not as a float"),
        (new().f32("mask", &[5]), "mask is stored as F32, not as BOOL"),
        (new().f32("sinks", &[2]), "sinks is F32 [2], not F32 [[4]]"),
        (new().f32("kv_seqlens", &[2]), "kv_seqlens is F32 [2], not I32 [[2]]"),
        (new().set("alibi", true).f32("alibi_slopes", &[2]), "alibi_slopes is F32 [2]"),
        (new().f32("past_k", &[2, 2, 7, 4]), "past_k needs past_v"),
        (new().f32("past_k", &[2, 2, 7, 5]).f32("past_v", &[2, 2, 7, 6]), "past_k [2, 2, 7, 5] does not fit k"),
        (new().f32("past_k", &[2, 2, 7, 4]).f32("past_v", &[2, 2, 6, 6]), "past_v [2, 2, 6, 6] does not fit v"),
        (generated([1 << 31, 1 << 28, 512]), "overflows 64 bits"),
        (generated([1, 1 << 40, 8]), "is too large"),
    ] {
        let refusal = refusal(&sample.bytes());
        assert!(refusal.contains(said), "{refusal:?} does not say {said:?}");
    }
}

/// A case of one item whose inputs all have this many heads, this length and head_dim, and come from a seed.
fn generated([heads, len, dim]: [u64; 3]) -> Sample {
    let recipe =
        json!({ "algo": "splitmix64_u24", "seed": 1, "shape": [1, heads, len, dim], "dtype": "f32", "mul": 1.0 });
    let sample = Sample::new().unlist("q").unlist("k").unlist("v").set("q_heads", heads).set("kv_heads", heads);
    sample.set("gen", json!({ "q": recipe, "k": recipe, "v": recipe })).set("diag_offset", json!([0]))
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let new = Sample::new;
    let causal = new().set("causal", "top_left").set("align", "top_left");
    for (sample, feature) in [
        (causal.set("diag_offset", json!([0, 1])), "diag_offset that differs"),
        (new().f32("dout", &[2, 4, 3, 6]), "backward pass"),
        (new().output("dq", &[1], &[0.0]), "backward pass"),
        (new().output("dbias", &[1], &[0.0]), "backward pass"),
    ] {
        let bytes = sample.bytes();
        let error = Case::parse(&bytes).err().unwrap_or_else(|| panic!("{feature} was accepted"));
        match error.downcast_ref() {
            Some(Error::NotBuilt { feature: named }) => assert!(named.contains(feature), "{feature}: {error}"),
            _ => panic!("{feature}: {error}"),
        }
    }
}

fn retyped(sample: Sample, name: &str, dtype: Dtype) -> Sample {
    let shape: &[usize] = match name {
        "q" => &[2, 4, 3, 4],
        "k" => &[2, 2, 5, 4],
        _ => &[2, 2, 5, 6],
    };
    sample.input(name, dtype, shape)
}

#[test]
fn cases_ask_for_what_they_say() {
    let shape = Shape { batch: 2, q_heads: 4, kv_heads: 2, q_len: 3, kv_len: 5, head_dim: 4, value_dim: 6 };
    let plain = Spec::new(shape).scale(0.5).align(Align::At(0));
    let new = Sample::new;
    let flat = new().f32("q", &[2, 3, 16]).f32("k", &[2, 5, 8]).f32("v", &[2, 5, 12]).set("layout", "3d");
    let causal = new().set("causal", "bottom_right").set("align", "bottom_right").set("diag_offset", json!([2, 2]));
    let window = new().set("window_left", 3).set("window_right", 1);
    let qk = |mode: i32| new().output("qk", &[1], &[0.0]).set("qk_mode", mode);
    let halves = |dtype| ["q", "k", "v"].iter().fold(new(), |sample, name| retyped(sample, name, dtype));
    let broadcast = |sizes: &[u32]| Layout::broadcast(sizes).expect("one to four sizes");
    let packed = new().set("layout", "thd").set("diag_offset", json!([0])).f32("q", &[6, 4, 4]).f32("k", &[10, 2, 4]);
    let packed = packed.f32("v", &[10, 2, 6]).i32("cu_seqlens_q", &[0, 6]).i32("cu_seqlens_k", &[0, 10]);
    assert_eq!(refusal(&packed.clone().i32("cu_seqlens_q", &[0, 0]).bytes()), "cu_seqlens_q does not grow from 0 to 6");
    let thd = Shape { batch: 1, q_len: 6, kv_len: 10, ..shape };
    for (sample, spec) in [
        (new(), plain.clone()),
        (bshd(), plain.clone().order(Order::Bshd)),
        (flat, plain.clone().order(Order::Bshd)),
        (causal.clone(), plain.clone().mask(Mask::causal()).align(Align::At(2))),
        (causal.set("window_left", 3), plain.clone().mask(Mask::window(Some(3), Some(0))).align(Align::At(2))),
        (window, plain.clone().mask(Mask::window(Some(3), Some(1)))),
        (new().output("lse", &[1], &[0.0]), plain.clone().lse()),
        (new().output("weights", &[1], &[0.0]), plain.clone().weights()),
        (qk(0), plain.clone().scores(ScoreStage::Scaled)),
        (qk(1), plain.clone().scores(ScoreStage::Capped)),
        (qk(2), plain.clone().scores(ScoreStage::Masked)),
        (qk(3), plain.clone().weights()),
        (halves(Dtype::F16).set("dtype", "f16"), plain.clone().q_type(DType::F16).kv_type(DType::F16)),
        (halves(Dtype::BF16).set("dtype", "bf16"), plain.clone().q_type(DType::Bf16).kv_type(DType::Bf16)),
        (new().set("softcap", 30.0), plain.clone().softcap(30.0)),
        (new().f32("bias", &[2, 1, 3, 5]), plain.clone().bias(broadcast(&[2, 1, 3, 5]), 5)),
        (new().input("bias", Dtype::F16, &[4]), plain.clone().bias(broadcast(&[4]), 4).bias_type(DType::F16)),
        (new().input("mask", Dtype::BOOL, &[1, 5]), plain.clone().keep(broadcast(&[1, 5]), 5)),
        (new().set("alibi", true).f32("alibi_slopes", &[4]), plain.clone().alibi(Slopes::Head)),
        (new().set("alibi", true).f32("alibi_slopes", &[2, 4]), plain.clone().alibi(Slopes::BatchHead)),
        (new().f32("sinks", &[4]), plain.clone().sinks()),
        (new().input("kv_seqlens", Dtype::I32, &[2]), plain.clone().kv_lens()),
        (packed, Spec::new(thd).scale(0.5).align(Align::At(0)).order(Order::Bshd).packed(1)),
    ] {
        let bytes = sample.bytes();
        let case = Case::parse(&bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(case.problem(), Some(&Problem::from(spec)));
    }
}

#[test]
fn a_past_is_a_cache_that_grows() {
    let sample = Sample::new().f32("past_k", &[2, 2, 7, 4]).f32("past_v", &[2, 2, 7, 6]);
    let bytes = sample.set("diag_offset", json!([7, 7])).bytes();
    let case = Case::parse(&bytes).unwrap_or_else(|error| panic!("{error}"));
    let Some(Problem::Attention(spec)) = case.problem() else { panic!("{:?}", case.problem()) };
    assert_eq!(spec.shape().kv_len, 12);
    let sizes = |tensor| spec.view(tensor).map(|view| view.sizes);
    assert_eq!(sizes(Tensor::NewK), Some([2, 2, 5, 4]));
    assert_eq!(sizes(Tensor::KvLens), Some([1, 1, 1, 2]));
}

#[test]
fn rope_is_a_problem_of_its_own() {
    let rope = || {
        let keys = ["layout", "q_heads", "kv_heads", "scale", "softcap", "causal", "align", "diag_offset"];
        let keys = keys.into_iter().chain(["window_left", "window_right", "alibi"]);
        let sample = keys.fold(Sample::new().unlist("q").unlist("k").unlist("v"), Sample::without);
        let sample = sample.set("op", "rope").set("layout", "bhsd").set("heads", 4).set("interleaved", true);
        sample.set("rotary_dim", 4).f32("x", &[2, 4, 3, 6]).f32("cos", &[9, 2]).f32("sin", &[9, 2])
    };
    let bytes = rope().input("position_ids", Dtype::I32, &[2, 3]).bytes();
    let case = Case::parse(&bytes).unwrap_or_else(|error| panic!("{error}"));
    let rotary = Rotary { dim: 4, pairs: Pairs::Interleaved, angles: Angles::Ids { positions: 9 } };
    assert_eq!(case.problem(), Some(&Problem::from(Rope::new([2, 4, 3, 6], rotary))));
    assert_ne!(refusal(&rope().bytes()), "accepted", "tables of positions need positions");
}
