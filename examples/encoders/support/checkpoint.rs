//! A model folder as published: config.json and model.safetensors. Nothing in it is trusted.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::{error::Error, fs, path::Path};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use serde_json::Value;
use wgpu_attention::{Attention, nn::StateDict};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Settings and weights of a model.
pub(crate) struct Checkpoint {
    config: Value,
    metadata: Metadata,
    file: Vec<u8>,
    /// Where the data starts in the file.
    data: usize,
}

impl Checkpoint {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::parse(folder, &read(folder, "config.json")?, read(folder, "model.safetensors")?)
    }

    /// Of the two files of a folder, whose name messages have.
    pub(crate) fn parse(folder: &Path, config: &[u8], file: Vec<u8>) -> Result<Self> {
        let config = settings(&folder.join("config.json"), config)?;
        let broken = |error| format!("{}/model.safetensors is not a whole safetensors file: {error}", folder.display());
        SafeTensors::deserialize(&file).map_err(broken)?;
        let (header, metadata) = SafeTensors::read_metadata(&file).map_err(broken)?;
        Ok(Self { config, metadata, data: header + 8, file })
    }

    /// The tensors, for a device.
    pub(crate) fn weights(&self, attention: &Attention) -> Result<StateDict<'_>> {
        Ok(StateDict::of_file(attention, &self.file)?)
    }

    /// What config.json says of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str> {
        let found = self.get(key).ok_or_else(|| format!("config.json lacks {key:?}"))?;
        found.as_str().ok_or_else(|| format!("{key:?} in config.json is {found}, not a text").into())
    }

    /// A size, from 1 to a million.
    pub(crate) fn size(&self, key: &str) -> Result<usize> {
        let found = self.get(key).ok_or_else(|| format!("config.json lacks {key:?}"))?;
        let size = found.as_u64().filter(|size| (1..=1_000_000).contains(size));
        Ok(size.ok_or_else(|| format!("{key:?} in config.json is {found}, not a size"))? as usize)
    }

    /// A number, or what it is where nothing is said.
    pub(crate) fn number(&self, key: &str, default: f64) -> Result<f64> {
        let Some(found) = self.get(key) else { return Ok(default) };
        found.as_f64().ok_or_else(|| format!("{key:?} in config.json is {found}, not a number").into())
    }

    /// Names of classes, in order.
    pub(crate) fn labels(&self) -> Vec<String> {
        let named = |n: usize| self.get("id2label")?.get(n.to_string())?.as_str().map(String::from);
        (0..).map_while(named).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// The first size of a tensor.
    pub(crate) fn rows(&self, name: &str) -> Result<usize> {
        let rows = self.metadata.info(name).and_then(|info| info.shape.first().copied());
        rows.ok_or_else(|| format!("model.safetensors lacks {name}").into())
    }

    /// A tensor of this shape in f32, stored in 16 or 32 bits.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let info = self.metadata.info(name).ok_or_else(|| format!("model.safetensors lacks {name}"))?;
        if info.shape != shape {
            return Err(format!("{name} is {:?}, config.json makes it {shape:?}", info.shape).into());
        }
        let (start, end) = info.data_offsets;
        let bytes = &self.file[self.data + start..self.data + end];
        let halves = || bytes.as_chunks().0.iter().map(|&half| u16::from_le_bytes(half));
        Ok(match info.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect(),
            Dtype::F16 => halves().map(|half| f16::from_bits(half).into()).collect(),
            Dtype::BF16 => halves().map(|half| bf16::from_bits(half).into()).collect(),
            other => return Err(format!("{name} is stored as {other}, not as F32, F16 or BF16").into()),
        })
    }
}

/// Settings as JSON, of at most 1 MiB: parsed, they take many times the memory of their text.
pub(crate) fn settings(path: &Path, file: &[u8]) -> Result<Value> {
    const MOST: usize = 1 << 20;
    if file.len() > MOST {
        return Err(format!("{} has {} bytes, above {MOST}", path.display(), file.len()).into());
    }
    serde_json::from_slice(file).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}
