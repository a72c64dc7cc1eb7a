//! Tensors in a safetensors file.

use std::{collections::BTreeMap, iter::zip};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use wgpu_attention::DType;

use super::Result;

/// A tensor of f32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// Tensors by name.
pub(crate) type Arrays = BTreeMap<String, Array>;

/// Opens a safetensors file, or says in words what is wrong with it.
pub(crate) fn open(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        let length = bytes.len();
        let because = match (error, bytes.first_chunk()) {
            (SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength, Some(&header)) => {
                format!("a header of {} bytes in a file of {length}", u64::from_le_bytes(header))
            }
            (SafeTensorError::MetadataIncompleteBuffer, _) => {
                format!("the tensors do not end where the file does, at byte {length}")
            }
            (error, _) => error.to_string(),
        };
        format!("not a safetensors file: {because}").into()
    })
}

/// The text under `case` in the file's metadata.
pub(super) fn metadata(bytes: &[u8]) -> Result<String> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let case = header.metadata().as_ref().and_then(|all| all.get("case"));
    case.cloned().ok_or_else(|| "the file has no metadata under \"case\"".into())
}

/// The bytes of a safetensors file with these tensors.
pub(crate) fn to_bytes(arrays: &Arrays) -> Result<Vec<u8>> {
    let bytes = |array: &Array| array.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let stored: Vec<_> = arrays.values().map(bytes).collect();
    let views = zip(arrays, &stored)
        .map(|((name, array), bytes)| Ok((name, TensorView::new(Dtype::F32, array.shape.clone(), bytes)?)));
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)?)
}

/// The elements of a tensor that is stored as f32.
pub(crate) fn floats(view: &TensorView<'_>) -> Result<Vec<f32>> {
    Ok(words(view, Dtype::F32)?.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

/// The elements of a tensor that is stored as floats of some type, none of which loses anything.
pub(super) fn any_floats(view: &TensorView<'_>) -> Result<Vec<f32>> {
    let halves = || view.data().as_chunks().0.iter().map(|&half| u16::from_le_bytes(half));
    match dtype(view)? {
        DType::F16 => Ok(halves().map(|bits| f16::from_bits(bits).to_f32()).collect()),
        DType::Bf16 => Ok(halves().map(|bits| bf16::from_bits(bits).to_f32()).collect()),
        _ => floats(view),
    }
}

/// The elements of a tensor of booleans.
pub(super) fn bools(view: &TensorView<'_>) -> Vec<bool> {
    view.data().iter().map(|&byte| byte != 0).collect()
}

/// The elements of a tensor that is stored as i32, each of which must be a count below `limit`.
pub(super) fn counts(name: &str, view: &TensorView<'_>, limit: u32) -> Result<Vec<u32>> {
    let integers = words(view, Dtype::I32)?.iter().map(|&word| i32::from_le_bytes(word));
    let count = |(i, x): (usize, i32)| match u32::try_from(x) {
        Err(_) => Err(format!("element {i} of {name} is {x}, below 0").into()),
        Ok(count) if count >= limit => Err(format!("element {i} of {name} is {x}, not below {limit}").into()),
        Ok(count) => Ok(count),
    };
    (0..).zip(integers).map(count).collect()
}

fn words<'a>(view: &TensorView<'a>, wanted: Dtype) -> Result<&'a [[u8; 4]]> {
    match view.dtype() == wanted {
        true => Ok(view.data().as_chunks().0),
        false => Err(format!("stored as {}, where {wanted} is wanted", view.dtype()).into()),
    }
}

/// How cases call the element types.
pub(super) const DTYPES: [(&str, DType); 3] = [("f32", DType::F32), ("f16", DType::F16), ("bf16", DType::Bf16)];

/// The element type in which a tensor of floats is stored.
pub(super) fn dtype(view: &TensorView<'_>) -> Result<DType> {
    match view.dtype() {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::Bf16),
        other => Err(format!("stored as {other}, not as a float").into()),
    }
}
