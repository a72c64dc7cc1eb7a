//! The tensors of a case in a safetensors file, and those that are computed from a seed.

use std::{collections::BTreeMap, iter::zip};

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use wgpu_attention::{DType, Error};

use super::{
    Result,
    json::{self, Fields},
};

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

/// The elements of a tensor that is stored as i32.
pub(super) fn integers(view: &TensorView<'_>) -> Result<Vec<i64>> {
    Ok(words(view, Dtype::I32)?.iter().map(|&word| i32::from_le_bytes(word).into()).collect())
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

/// One of q, k and v.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    data: Data<'a>,
}

#[derive(Debug)]
enum Data<'a> {
    Stored(TensorView<'a>),
    Generated { seed: u64, factor: f32 },
}

impl<'a> Source<'a> {
    pub(super) fn stored(view: TensorView<'a>) -> Result<Self> {
        Ok(Self { shape: view.shape().to_vec(), dtype: dtype(&view)?, data: Data::Stored(view) })
    }

    pub(super) fn generated(mut fields: Fields) -> Result<Self> {
        fields.word("algo", &[("splitmix64_u24", ())])?;
        let source = Self {
            shape: fields.list("shape", "a list of sizes", json::size)?,
            dtype: fields.word("dtype", &DTYPES)?,
            data: Data::Generated { seed: fields.count("seed")?, factor: fields.number("mul")? as f32 },
        };
        fields.finish()?;
        Ok(source)
    }

    /// Its elements, row-major. The product of its sizes must have been checked.
    pub(super) fn floats(&self) -> Result<Vec<f32>> {
        match &self.data {
            _ if self.dtype != DType::F32 => Err(Error::NotBuilt { feature: "an input other than f32" }.into()),
            Data::Stored(view) => floats(view),
            Data::Generated { seed, factor } => {
                let count: usize = self.shape.iter().product();
                Ok((1..=count as u64).map(|n| uniform(*seed, n) * factor).collect())
            }
        }
    }
}

/// The `n`th number, from 1, of SplitMix64 (Steele, Lea and Flood 2014) as a multiple of 2^-23 in -1..1: exact in f32.
fn uniform(seed: u64, n: u64) -> f32 {
    let z = seed.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let z = z ^ (z >> 31);
    (z >> 40) as f32 / 8_388_608.0 - 1.0
}

#[cfg(test)]
#[test]
fn numbers_are_those_of_splitmix64() {
    // The first two of seed 0 in the published generator, cut to their upper 24 bits.
    for (n, published) in [(1, 0xE220_A839_7B1D_CDAF_u64), (2, 0x6E78_9E6A_A1B9_65F4)] {
        assert_eq!(f64::from(uniform(0, n)), (published >> 40) as f64 * (-23f64).exp2() - 1.0);
    }
}
