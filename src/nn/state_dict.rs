//! A model's weights, by the names of its state dict.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::{Dtype, SafeTensors};

use crate::{
    device::{
        memory::{self, loaded_floats, stored_floats},
        pipelines::Scopes,
        plan::Attention,
    },
    error::Error,
    tensor::dtype::DType,
};

/// One tensor of a state dict, on the device.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its numbers, dense.
    pub buffer: wgpu::Buffer,
    /// Its element type: a float.
    pub dtype: DType,
}

/// A tensor in host memory.
#[derive(Clone, Debug)]
struct Stored<'a> {
    shape: Vec<usize>,
    dtype: Dtype,
    data: &'a [u8],
}

/// Tensors of a state dict, which layers take by name and shape, and bring to the device.
///
/// What is missing or is of another shape or type is refused by its name, with what was expected. Once a model has taken all that it
/// knows, [`finish`](Self::finish) refuses what is left.
#[derive(Clone, Debug)]
pub struct StateDict<'a> {
    attention: Attention,
    tensors: BTreeMap<String, Stored<'a>>,
    taken: BTreeSet<String>,
}

impl<'a> StateDict<'a> {
    /// The tensors of a safetensors file, for the device of `attention`.
    pub fn of_file(attention: &Attention, file: &'a [u8]) -> Result<Self, Error> {
        let broken = |error| {
            let other = if file.starts_with(b"PK") || file.starts_with(b"\x80") {
                "; it looks like a file of torch.save, which safetensors.torch.save_file converts"
            } else {
                ""
            };
            Error::StateDict {
                name: "the file".into(),
                because: format!("it is no whole safetensors file: {error}{other}"),
            }
        };
        let tensors = SafeTensors::deserialize(file).map_err(broken)?;
        let stored = |(name, view): (&str, safetensors::tensor::TensorView<'a>)| {
            let (shape, dtype, data) = (view.shape().to_vec(), view.dtype(), view.data());
            (name.to_string(), Stored { shape, dtype, data })
        };
        let tensors = tensors.iter().map(stored).collect();
        Ok(Self { attention: attention.clone(), tensors, taken: BTreeSet::new() })
    }

    /// Tensors in host memory by name, shape and numbers. Refused: another count of numbers than the shape has.
    pub fn of(
        attention: &Attention,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    ) -> Result<Self, Error> {
        let stored = |(name, shape, data): (&str, &[usize], &'a [f32])| {
            if Some(data.len()) != shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size)) {
                return Err(refused(name, format!("it has {} numbers, its shape is {shape:?}", data.len())));
            }
            let data = bytemuck::cast_slice(data);
            Ok((name.to_string(), Stored { shape: shape.to_vec(), dtype: Dtype::F32, data }))
        };
        let tensors = tensors.into_iter().map(stored).collect::<Result<_, _>>()?;
        Ok(Self { attention: attention.clone(), tensors, taken: BTreeSet::new() })
    }

    /// Whether there is such a tensor, taken or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Its sizes.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|stored| stored.shape.as_slice())
    }

    /// A tensor of this shape. It may be taken more than once, where layers share it.
    pub fn take(&mut self, name: &str, shape: &[u32]) -> Result<Parameter, Error> {
        let [parameter] = self.split(name, shape)?;
        Ok(parameter)
    }

    /// [`take`](Self::take) where the tensor may be absent.
    pub fn take_if(&mut self, name: &str, shape: &[u32]) -> Result<Option<Parameter>, Error> {
        if self.has(name) { self.take(name, shape).map(Some) } else { Ok(None) }
    }

    /// A tensor of this shape, cut along its first size into equal parts: a packed projection.
    pub fn split<const N: usize>(&mut self, name: &str, shape: &[u32]) -> Result<[Parameter; N], Error> {
        let wanted: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
        let Some(stored) = self.tensors.get(name) else {
            return Err(refused(name, format!("it is missing, and {wanted:?} is expected; {}", self.nearest(name))));
        };
        if stored.shape != wanted {
            return Err(refused(name, format!("it is {:?}, and {wanted:?} is expected", stored.shape)));
        }
        let first = wanted.first().copied().unwrap_or(1);
        if N == 0 || !first.is_multiple_of(N) {
            return Err(refused(name, format!("its first size {first} cannot be cut into {N} equal parts")));
        }
        let dtype = float_type(name, stored.dtype)?;
        let parameters = self.upload(name, stored.data, dtype)?;
        self.taken.insert(name.into());
        Ok(parameters)
    }

    /// What the state dict holds in the place of a missing tensor: names with the same end, or else its first names.
    fn nearest(&self, name: &str) -> String {
        let of = |names: Vec<&String>| {
            let shown: Vec<_> = names.iter().take(4).map(|name| name.as_str()).collect();
            format!("{}{}", shown.join(", "), if names.len() > shown.len() { ", .." } else { "" })
        };
        // With a prefix that was not expected, or without one that was.
        let same_end = |known: &&String| {
            let same = known.split('.').rev().zip(name.split('.').rev()).take_while(|(a, b)| a == b).count();
            same >= 2
        };
        let similar: Vec<&String> = self.tensors.keys().filter(same_end).collect();
        match (similar.is_empty(), self.tensors.is_empty()) {
            (false, _) => format!("the file has {}", of(similar)),
            (true, false) => {
                format!("the file has {} tensors: {}", self.tensors.len(), of(self.tensors.keys().collect()))
            }
            (true, true) => "the file has no tensors".into(),
        }
    }

    /// A tensor of this shape in this element type, whatever it is stored as.
    pub(super) fn take_as(&mut self, name: &str, shape: &[u32], dtype: DType) -> Result<Parameter, Error> {
        let parameter = self.take(name, shape)?;
        let Some(stored) = self.tensors.get(name).filter(|_| parameter.dtype != dtype) else { return Ok(parameter) };
        let floats = loaded_floats(stored.data, float_type(name, stored.dtype)?);
        self.constant(name, &floats, dtype)
    }

    /// A vector, in f32 whatever it is stored as: what a linear layer or a norm adds or multiplies by.
    pub fn vector(&mut self, name: &str, len: u32) -> Result<Parameter, Error> {
        let [vector] = self.vectors(name, len)?;
        Ok(vector)
    }

    /// The same, cut into equal parts.
    pub fn vectors<const N: usize>(&mut self, name: &str, len: u32) -> Result<[Parameter; N], Error> {
        let parameters = self.split(name, &[len])?;
        let Some(stored) = self.tensors.get(name).filter(|stored| stored.dtype != Dtype::F32) else {
            return Ok(parameters);
        };
        let floats = loaded_floats(stored.data, float_type(name, stored.dtype)?);
        self.upload(name, &stored_floats(&floats, DType::F32), DType::F32)
    }

    /// The longest buffer of the device.
    pub(super) fn max_buffer_bytes(&self) -> u64 {
        self.attention.device().limits().max_buffer_size
    }

    /// Numbers that are not in the file, in this type.
    pub(super) fn constant(&self, name: &str, numbers: &[f32], dtype: DType) -> Result<Parameter, Error> {
        let [parameter] = self.upload(name, &stored_floats(numbers, dtype), dtype)?;
        Ok(parameter)
    }

    /// Equal parts of these bytes on the device.
    fn upload<const N: usize>(&self, name: &str, bytes: &[u8], dtype: DType) -> Result<[Parameter; N], Error> {
        let device = self.attention.device();
        let scopes = Scopes::open(device);
        let len = bytes.len() / N;
        let one = |n: usize| storage(device, name, len as u64, Some(&bytes[n * len..][..len]));
        let parameters = std::array::from_fn(|n| Parameter { buffer: one(n), dtype });
        let refusal = scopes.close("the weights of a model");
        #[cfg(not(target_arch = "wasm32"))]
        pollster::block_on(refusal)?;
        #[cfg(target_arch = "wasm32")]
        drop(refusal); // A browser says so when the buffer is bound.
        Ok(parameters)
    }

    /// Counts as taken, whatever it is: what a file holds beside the weights, such as numbers of positions.
    pub fn ignore(&mut self, name: &str) {
        self.taken.insert(name.into());
    }

    /// Refused if a tensor was not taken: a model that leaves weights is not the one that was meant.
    pub fn finish(self) -> Result<(), Error> {
        let left: Vec<&String> = self.tensors.keys().filter(|name| !self.taken.contains(*name)).collect();
        let Some(first) = left.first() else { return Ok(()) };
        let others =
            if left.len() > 1 { format!(", nor {} others of the file", left.len() - 1) } else { String::new() };
        Err(refused(first, format!("this model has no such tensor{others}")))
    }
}

/// The element type that a file gives a tensor.
fn float_type(name: &str, dtype: Dtype) -> Result<DType, Error> {
    match dtype {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::Bf16),
        other => Err(refused(name, format!("it is {other}, and F32, F16 or BF16 is expected"))),
    }
}

fn refused(name: &str, because: String) -> Error {
    Error::StateDict { name: name.into(), because }
}

/// A buffer of storage, with these bytes and zeros after them.
pub(super) fn storage(device: &wgpu::Device, label: &str, size: u64, data: Option<&[u8]>) -> wgpu::Buffer {
    use wgpu::BufferUsages as Usages;
    let usage = Usages::STORAGE | Usages::COPY_DST | Usages::COPY_SRC;
    memory::buffer(device, label, size.next_multiple_of(4).max(4), usage, data)
}
