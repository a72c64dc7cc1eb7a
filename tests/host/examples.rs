//! What the examples read from files: whole, or refused with the reason; never a panic. No device.

#[path = "../../examples/support/sentence.rs"]
mod sentence;

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};
use sentence::Sentence;
use wgpu_attention::Tensor;

const FILE: &[u8] = include_bytes!("../../examples/data/minilm_sentence.safetensors");

/// A small file of the right form, and what a test makes wrong about it.
#[derive(Clone)]
struct Draft {
    tensors: Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl Draft {
    /// 1 layer, 2 heads, 3 tokens, head_dim 4.
    fn new() -> Self {
        let bytes: Vec<u8> = (0..24_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        let tensors = ["q", "k", "v"].map(|name| (name, Dtype::F32, vec![1, 2, 3, 4], bytes.clone())).into();
        let metadata = [("text", "a b c"), ("tokens", r#"["a", "b", "c"]"#), ("scale", "0.5")];
        Self { tensors, metadata: metadata.map(|(key, value)| (key.into(), value.into())).into() }
    }

    fn without(mut self, tensor: &str) -> Self {
        self.tensors.retain(|&(name, ..)| name != tensor);
        self
    }

    /// The same number of bytes in another shape and type.
    fn shaped(mut self, tensor: usize, dtype: Dtype, shape: &[usize]) -> Self {
        (self.tensors[tensor].1, self.tensors[tensor].2) = (dtype, shape.into());
        self
    }

    fn all_shaped(self, shape: &[usize]) -> Self {
        (0..3).fold(self, |draft, tensor| draft.shaped(tensor, Dtype::F32, shape))
    }

    fn with(mut self, key: &str, value: Option<&str>) -> Self {
        self.metadata.remove(key);
        self.metadata.extend(value.map(|value| (key.into(), value.into())));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let view = |(name, dtype, shape, bytes)| (name, TensorView::new(dtype, shape, bytes).expect("a sound draft"));
        let tensors =
            self.tensors.iter().map(|(name, dtype, shape, bytes)| view((*name, *dtype, shape.clone(), bytes)));
        safetensors::serialize(tensors, Some(self.metadata.clone().into_iter().collect())).expect("a sound draft")
    }
}

/// The error of a file that must be refused.
fn refusal(file: &[u8]) -> String {
    Sentence::parse(file).expect_err("it must be refused").to_string()
}

fn assert_refused(draft: &Draft, message: &str) {
    assert_eq!(refusal(&draft.bytes()), message);
}

/// A file with this text as its header and no data.
fn headed(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

#[test]
fn reads_the_sentence() {
    let sentence = Sentence::parse(FILE).expect("the shipped file");
    assert_eq!(sentence.text, "The animal didn't cross the street because it was too tired.");
    assert_eq!((sentence.layers, sentence.tokens.len(), &*sentence.tokens[10]), (6, 16, "it"));
    let spec = sentence.spec();
    for layer in 0..6 {
        assert_eq!(sentence.layer(layer).check(&spec), Ok(()));
    }
}

#[test]
fn reads_each_layer_in_its_place() {
    let draft = Draft::new().all_shaped(&[2, 1, 3, 4]);
    let sentence = Sentence::parse(&draft.bytes()).expect("two layers");
    let counted: Vec<f32> = (0..24_u8).map(f32::from).collect();
    assert_eq!(
        (sentence.layer(0).get_floats(Tensor::Q), sentence.layer(1).get_floats(Tensor::V)),
        (&counted[..12], &counted[12..])
    );
    assert_eq!(sentence.spec().scale_or_default(), 0.5);
}

#[test]
fn refuses_every_truncation() {
    let small = Draft::new().bytes();
    let shorter = (0..small.len()).map(|len| &small[..len]);
    for file in shorter.chain((0..FILE.len()).step_by(997).map(|len| &FILE[..len])) {
        let message = refusal(file);
        assert!(message.starts_with("not a whole safetensors file: "), "{} bytes: {message}", file.len());
    }
}

#[test]
fn survives_every_changed_byte_of_the_header() {
    let file = Draft::new().bytes();
    for index in 0..file.len() - 3 * 24 * 4 {
        for byte in [0, b'"', b'0', b'9', b'{', b',', 0xff] {
            let mut changed = file.clone();
            changed[index] = byte;
            drop(Sentence::parse(&changed)); // either answer will do, so long as there is one
        }
    }
}

#[test]
fn refuses_headers_that_lie() {
    for len in [u64::MAX, u64::MAX - 7, 1 << 40, 100_000_001, 1000] {
        let mut file = Draft::new().bytes();
        file[..8].copy_from_slice(&len.to_le_bytes());
        assert!(refusal(&file).starts_with("not a whole safetensors file: "), "header of {len} bytes");
    }
    let huge = format!(r#"{{"q":{{"dtype":"F32","shape":[{0},{0},{0},4],"data_offsets":[0,0]}}}}"#, u64::MAX);
    for header in ["", "{", "[]", "null", &"[".repeat(100_000), &huge] {
        assert!(refusal(&headed(header)).starts_with("not a whole safetensors file: "), "{header:.60}");
    }
}

#[test]
fn refuses_missing_parts() {
    for name in ["q", "k", "v"] {
        assert_refused(&Draft::new().without(name), &format!("tensor `{name}` not found"));
    }
    for key in ["text", "tokens", "scale"] {
        assert_refused(&Draft::new().with(key, None), &format!("the metadata lacks {key:?}"));
    }
    assert_eq!(refusal(&headed("{}")), "the file has no metadata");
}

#[test]
fn refuses_wrong_shapes() {
    let draft = Draft::new;
    let form = "[layers, heads, tokens, head_dim]";
    assert_refused(&draft().shaped(0, Dtype::F32, &[2, 3, 4]), &format!("q is [2, 3, 4], not {form}"));
    assert_refused(&draft().shaped(0, Dtype::F32, &[1, 1, 2, 3, 4]), &format!("q is [1, 1, 2, 3, 4], not {form}"));
    assert_refused(&draft().shaped(1, Dtype::F32, &[1, 3, 2, 4]), "k is [1, 3, 2, 4], and q is [1, 2, 3, 4]");
    assert_refused(&draft().shaped(2, Dtype::I32, &[1, 2, 3, 4]), "v is stored as I32, not as F32");
    let mut empty = draft().all_shaped(&[0, 2, 3, 4]);
    empty.tensors.iter_mut().for_each(|(.., bytes)| bytes.clear());
    assert_refused(&empty, &format!("q is [0, 2, 3, 4], not {form}"));
}

#[test]
fn refuses_wrong_tokens_and_numbers() {
    let draft = Draft::new;
    assert_refused(&draft().with("tokens", Some(r#"["a", "b"]"#)), "2 tokens for 3 rows");
    let list = |tokens| refusal(&draft().with("tokens", Some(tokens)).bytes());
    for tokens in ["", "7", r#"{"a": 1}"#, r#"["a", 1, "c"]"#, &"[".repeat(100_000)] {
        assert!(list(tokens).starts_with("\"tokens\" is not a JSON list of strings: "), "{tokens:.60}");
    }
    assert_refused(&draft().with("scale", Some("big")), "\"scale\" is \"big\", not a number");
    assert_refused(&draft().with("scale", Some("1e999")), "scale is inf, not a finite number");
    let mut nan = draft();
    nan.tensors[1].3[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_refused(&nan, "element 5 of k is NaN");
}

#[test]
fn refuses_a_head_that_no_kernel_takes() {
    let mut wide = Draft::new().all_shaped(&[1, 1, 3, 600]);
    wide.tensors.iter_mut().for_each(|(.., bytes)| *bytes = vec![0; 3 * 600 * 4]);
    assert_refused(&wide, "head_dim 600 is above 512");
}
