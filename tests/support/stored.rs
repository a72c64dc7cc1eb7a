//! Elements of each type as they lie in memory.

use half::{bf16, f16};
use wgpu_attention::{DType, Data};

/// The bytes of elements of a type.
pub(crate) fn stored(data: Data<'_>, dtype: DType) -> Vec<u8> {
    match (data, dtype) {
        (Data::Floats(data), DType::F16) => data.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        (Data::Floats(data), DType::Bf16) => data.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
        (Data::Floats(data), _) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::Words(data), _) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::Bools(data), DType::Bit) => {
            data.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
        }
        // Anything but 0 is true.
        (Data::Bools(data), _) => {
            data.iter().zip((1..=255u8).cycle()).map(|(&x, yes)| if x { yes } else { 0 }).collect()
        }
        (other, _) => panic!("{other:?}"),
    }
}

/// The number that an element is, by its bits.
pub(crate) fn number(bits: u32, dtype: DType) -> f32 {
    match dtype {
        DType::F16 => f16::from_bits(bits as u16).to_f32(),
        DType::Bf16 => bf16::from_bits(bits as u16).to_f32(),
        _ => f32::from_bits(bits),
    }
}

/// The bits of each element of a type, in 32.
pub(crate) fn elements(bytes: &[u8], dtype: DType) -> Vec<u32> {
    match dtype.bits() {
        32 => bytemuck::pod_collect_to_vec(bytes),
        16 => bytemuck::pod_collect_to_vec::<u8, u16>(bytes).into_iter().map(u32::from).collect(),
        8 => bytes.iter().map(|&byte| byte.into()).collect(),
        _ => bytes.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))).collect(),
    }
}
