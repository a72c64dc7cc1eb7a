//! Device memory: buffers, and the bytes that tensors have in them.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::{
    device::pipelines::Scopes,
    error::Error,
    problem::values::Data,
    tensor::{dtype::DType, view::View},
};

/// A buffer, or why the device refused it.
pub(crate) async fn allocate(
    device: &wgpu::Device,
    name: &'static str,
    size: u64,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, Error> {
    let scopes = Scopes::open(device);
    let buffer = buffer(device, name, size, usage, None);
    scopes.close(name).await?;
    Ok(buffer)
}

/// A buffer that holds these bytes, where there are some, and zeros after them. Whether the device refused it, only the error
/// scopes around the call tell: one scope may stand around many buffers.
pub(crate) fn buffer(
    device: &wgpu::Device,
    label: &str,
    size: u64,
    usage: wgpu::BufferUsages,
    data: Option<&[u8]>,
) -> wgpu::Buffer {
    let mapped_at_creation = data.is_some();
    let buffer = device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation });
    let Some(data) = data else { return buffer };
    if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
        mapped.slice(..data.len()).copy_from_slice(data);
        mapped.slice(data.len()..).fill(0);
    } // else creation failed, which the error scopes tell
    buffer.unmap();
    buffer
}

/// The bytes of a tensor, whole words, as far as it reaches.
pub(crate) fn stored<'a>(data: Data<'a>, view: &View) -> Result<Cow<'a, [u8]>, Error> {
    let extent = view.extent()? as usize;
    let mut bytes = match data {
        Data::Floats(data) => {
            let data = &data[..extent];
            check_range(data, view)?;
            stored_floats(data, view.dtype)
        }
        Data::Words(data) => bytemuck::cast_slice(&data[..extent]).into(),
        Data::Bools(data) if view.dtype == DType::Bit => {
            let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
            data[..extent].chunks(8).map(byte).collect()
        }
        Data::Bools(data) => data[..extent].iter().map(|&keep| keep.into()).collect(),
    };
    let whole = view.bytes()? as usize;
    if bytes.len() < whole {
        bytes.to_mut().resize(whole, 0);
    }
    Ok(bytes)
}

/// Refused: a finite number that would become infinite.
fn check_range(data: &[f32], view: &View) -> Result<(), Error> {
    if view.dtype == DType::F32 {
        return Ok(());
    }
    let beyond = |x: f32| x.is_finite() && view.dtype.round(x).is_infinite();
    data.iter().position(|&x| beyond(x)).map_or(Ok(()), |index| {
        let (name, dtype) = (view.tensor.name(), view.dtype.name());
        Err(Error::Beyond { name, index, got: format!("{:e}", data[index]), dtype })
    })
}

/// Numbers as a tensor of this type holds them.
pub(crate) fn stored_floats(numbers: &[f32], dtype: DType) -> Cow<'_, [u8]> {
    let halves = |bits: fn(f32) -> u16| {
        let halves: Vec<u16> = numbers.iter().map(|&x| bits(x)).collect();
        bytemuck::pod_collect_to_vec(&halves).into()
    };
    match dtype {
        DType::F16 => halves(|x| f16::from_f32(x).to_bits()),
        DType::Bf16 => halves(|x| bf16::from_f32(x).to_bits()),
        DType::F32 | DType::U32 | DType::Bool | DType::Bit => bytemuck::cast_slice(numbers).into(),
    }
}

/// The numbers that bytes of a tensor of this type hold.
pub(crate) fn loaded_floats(bytes: &[u8], dtype: DType) -> Vec<f32> {
    let halves = || bytemuck::pod_collect_to_vec::<u8, u16>(bytes).into_iter();
    match dtype {
        DType::F16 => halves().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        DType::Bf16 => halves().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        DType::F32 | DType::U32 | DType::Bool | DType::Bit => bytemuck::pod_collect_to_vec(bytes),
    }
}
