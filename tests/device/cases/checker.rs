//! The checker passes what is right, and nothing else.

use std::collections::BTreeMap;

use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

use super::{
    case::{Array, Arrays, Case, to_bytes},
    check::failures,
    sample::Sample,
};

/// A case that expects 1, 2, 3 ... of out, and of lse the same with one -inf.
fn sample() -> (Sample, Arrays) {
    let out: Vec<f32> = (1..=144).map(|n| n as f32).collect();
    let lse: Vec<f32> = (1..=24).map(|n| if n == 7 { f32::NEG_INFINITY } else { n as f32 }).collect();
    let sample = Sample::new().output("out", &[2, 4, 3, 6], &out).output("lse", &[2, 4, 3], &lse);
    let out = Array { shape: vec![2, 4, 3, 6], data: out };
    let lse = Array { shape: vec![2, 4, 3], data: lse };
    (sample, BTreeMap::from([("out".into(), out), ("lse".into(), lse)]))
}

fn check(sample: &Sample, got: &Arrays) -> Vec<String> {
    let bytes = sample.bytes();
    failures(&Case::parse(&bytes).expect("a case"), &bytes, &to_bytes(got).expect("a file"))
}

/// What the checker says when one element is changed.
fn changed(name: &str, index: usize, value: f32) -> Vec<String> {
    let (sample, mut got) = sample();
    got.get_mut(name).expect("an output").data[index] = value;
    check(&sample, &got)
}

#[test]
fn exactly_the_expected_passes() {
    let (sample, mut got) = sample();
    assert_eq!(check(&sample, &got), [""; 0]);
    let unasked = got["lse"].clone();
    got.insert("qk".into(), unasked);
    assert_eq!(check(&sample, &got), [""; 0], "a tensor that nobody asked for is no failure");
}

#[test]
fn the_bound_is_where_it_should_be() {
    // Twice the naive error of 1e-4, 8e-4, and a hundredth of the 100 expected.
    let bound = 1.001;
    for sign in [-1.0, 1.0] {
        assert_eq!(changed("out", 99, 100.0 + sign * (bound - 1e-4)), [""; 0]);
        let outside = changed("out", 99, 100.0 + sign * (bound + 1e-4));
        assert!(outside.len() == 1 && outside[0].starts_with("out: 1 of 144 are wrong; element 99"), "{outside:?}");
    }
}

#[test]
fn infinities_and_nan_are_told_apart() {
    let (minus, plus) = (f32::NEG_INFINITY, f32::INFINITY);
    assert_eq!(changed("lse", 6, minus), [""; 0]);
    for (index, value) in
        [(6, plus), (6, f32::MIN), (6, f32::NAN), (0, minus), (0, plus), (0, f32::NAN), (23, f32::NAN)]
    {
        let said = changed("lse", index, value);
        assert!(said.len() == 1 && said[0].contains(&format!("element {index} is {value}")), "{said:?}");
    }
}

#[test]
fn zeros_and_a_wrong_last_element_fail() {
    let (sample, mut got) = sample();
    got.get_mut("out").expect("an output").data.fill(0.0);
    assert!(check(&sample, &got)[0].contains("144 of 144"));
    assert_eq!(changed("out", 143, 0.0).len(), 1);
}

#[test]
fn missing_tensors_wrong_shapes_and_types_fail() {
    let (sample, whole) = sample();
    let mut got = whole.clone();
    got.remove("lse");
    assert_eq!(check(&sample, &got), ["lse: tensor `lse` not found"]);

    let mut got = whole;
    got.get_mut("out").expect("an output").shape = vec![2, 3, 4, 6];
    assert_eq!(check(&sample, &got), ["out: shape is [2, 3, 4, 6], not [2, 4, 3, 6]"]);

    let bytes = sample.bytes();
    let zeros = [0; 288];
    let halves = TensorView::new(Dtype::F16, vec![2, 4, 3, 6], &zeros).expect("a tensor");
    let file = safetensors::serialize([("out", halves)], None).expect("a file");
    let said = failures(&Case::parse(&bytes).expect("a case"), &bytes, &file);
    assert_eq!(said[0], "out: stored as F16, where F32 is wanted");
    assert!(failures(&Case::parse(&bytes).expect("a case"), &bytes, b"").len() == 1, "a file that cannot be opened");
}

#[test]
fn what_is_not_expected_cannot_pass() {
    let (sample, got) = sample();
    assert_eq!(check(&sample.clone().drop("out"), &got).len(), 1, "the case file lacks out");
    let unbound = sample.set("naive_err_max", json!({})).set("tolerance", json!({}));
    assert_eq!(check(&unbound, &got).len(), 2, "no bounds");
}

/// A case of which rows 0 and 2 are compared, and the means.
fn long() -> (Sample, Arrays) {
    let tensor = |name: &str, seed: u32| {
        let shape = if name == "q" { [1, 1, 3, 2] } else { [1, 1, 5, 2] };
        json!({ "algo": "splitmix64_u24", "seed": seed, "shape": shape, "dtype": "f32", "mul": 1.0 })
    };
    let inputs = json!({ "q": tensor("q", 1), "k": tensor("k", 2), "v": tensor("v", 3) });
    let sample = Sample::new().unlist("q").unlist("k").unlist("v").set("gen", inputs).set("sample_rows", json!([0, 2]));
    let sample = sample.set("q_heads", 1).set("kv_heads", 1).set("diag_offset", json!([0]));
    let sample = sample.output("out", &[1, 1, 2, 2], &[1.0, -2.0, 5.0, -6.0]);
    let sample =
        sample.output("out_mean", &[1, 1, 2], &[3.0, 0.0]).output("out_absmean", &[1, 1, 2], &[3.0, 16.0 / 3.0]);
    let out = Array { shape: vec![1, 1, 3, 2], data: vec![1.0, -2.0, 3.0, 8.0, 5.0, -6.0] };
    (sample, BTreeMap::from([("out".into(), out)]))
}

#[test]
fn long_cases_are_compared_by_rows_and_means() {
    let (sample, got) = long();
    assert_eq!(check(&sample, &got), [""; 0]);
    let names = |index: usize, value: f32| -> Vec<String> {
        let mut got = got.clone();
        got.get_mut("out").expect("an output").data[index] = value;
        check(&sample, &got).iter().map(|said| said.split(':').next().unwrap_or_default().to_string()).collect()
    };
    assert_eq!(names(0, 1.5), ["out", "out_mean", "out_absmean"], "a row that is compared");
    assert_eq!(names(2, 3.5), ["out_mean", "out_absmean"], "a row that is not");
    assert_eq!(names(3, -8.0), ["out_mean"], "a sign");
    assert_eq!(names(3, f32::NAN), ["out", "out_mean", "out_absmean"], "a NaN in a row that is not compared");
}

#[test]
fn long_cases_need_the_whole_output() {
    let (sample, mut got) = long();
    *got.get_mut("out").expect("an output") = Array { shape: vec![1, 1, 2, 2], data: vec![1.0, -2.0, 5.0, -6.0] };
    assert!(check(&sample, &got)[0].contains("shape is [1, 1, 2, 2], not [1, 1, 3, 2]"));
    let (_, got) = long();
    assert!(check(&sample.set("sample_rows", json!([0, 3])), &got)[0].contains("no row 3 in 3"));
}
