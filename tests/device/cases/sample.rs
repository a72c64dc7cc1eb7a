//! A small case made in memory, to be changed by tests.

use std::{collections::BTreeMap, iter::once};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

/// A case file before it is written.
#[derive(Clone)]
pub(crate) struct Sample {
    json: Value,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Sample {
    /// Two items, four query heads on two key heads, three queries, five keys, head_dim 4, value_dim 6; all inputs are 0.
    ///
    /// The sizes differ so that none passes for another.
    pub(crate) fn new() -> Self {
        let json = json!({
            "format": 1, "op": "attention", "name": "sample", "group": "none", "source": "made up", "notes": "",
            "dtype": "f32", "inputs": [], "outputs": [], "naive_err_max": {}, "tolerance": {}, "naive_mult": 2.0,
            "slow": false, "layout": "bhsd", "q_heads": 4, "kv_heads": 2, "scale": 0.5, "softcap": 0.0,
            "causal": "none", "align": "top_left", "diag_offset": [0, 0], "window_left": -1, "window_right": -1,
            "alibi": false,
        });
        let empty = Self { json, tensors: BTreeMap::new() };
        let inputs = empty.f32("q", &[2, 4, 3, 4]).f32("k", &[2, 2, 5, 4]).f32("v", &[2, 2, 5, 6]);
        inputs.output("out", &[2, 4, 3, 6], &[0.0; 144])
    }

    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.json[key] = value.into();
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.json.as_object_mut().expect("an object").remove(key);
        self
    }

    /// An input of zeros, new or in the place of what there was.
    pub(crate) fn input(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        let bytes = vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8];
        self.tensors.insert(name.into(), (dtype, shape.to_vec(), bytes));
        self.list("inputs", name)
    }

    /// An input of these whole numbers.
    pub(crate) fn i32(mut self, name: &str, data: &[i32]) -> Self {
        let bytes = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensors.insert(name.into(), (Dtype::I32, vec![data.len()], bytes));
        self.list("inputs", name)
    }

    pub(crate) fn f32(self, name: &str, shape: &[usize]) -> Self {
        self.input(name, Dtype::F32, shape)
    }

    /// An output, and what is expected of it within 1e-3 + 1e-2 * |expected|.
    pub(crate) fn output(mut self, name: &str, shape: &[usize], expected: &[f32]) -> Self {
        let bytes = expected.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensors.insert(name.into(), (Dtype::F32, shape.to_vec(), bytes));
        self.json["naive_err_max"][name] = json!(1e-4);
        self.json["tolerance"][name] = json!({ "atol": 8e-4, "rtol": 1e-2 });
        self.list("outputs", name)
    }

    fn list(mut self, key: &str, name: &str) -> Self {
        let names = self.json[key].as_array_mut().expect("a list");
        if !names.iter().any(|known| known == name) {
            names.push(name.into());
        }
        self
    }

    /// Takes a tensor out of the file; the JSON still names it.
    pub(crate) fn drop(mut self, name: &str) -> Self {
        self.tensors.remove(name);
        self
    }

    /// Takes an input out of the file and the JSON.
    pub(crate) fn unlist(mut self, name: &str) -> Self {
        self.json["inputs"].as_array_mut().expect("a list").retain(|known| known != name);
        self.drop(name)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.file(Some(self.json.to_string()))
    }

    /// The tensors alone, with this text under `case`.
    pub(crate) fn file(&self, case: Option<String>) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).expect("bytes of that shape"))
        });
        let metadata = case.map(|case| once(("case".to_string(), case)).collect());
        safetensors::serialize(views, metadata).expect("a file")
    }
}
