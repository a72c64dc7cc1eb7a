//! Numbers that break programs, and small ones between them.

use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};
use wgpu_attention::{Angles, BlockForm, Caps, DType, DeviceKind, Layout, Order, Pairs, Rotary};

/// A number on an edge.
fn edge() -> impl Strategy<Value = u32> {
    let powers = (0_u32..32, -1_i64..=1).prop_map(|(power, by)| ((1_i64 << power) + by) as u32);
    let limits = [0, 1, 511, 512, 513, 65_535, 65_536, i32::MAX as u32, 1 << 31, u32::MAX - 1, u32::MAX];
    prop_oneof![3 => powers, 2 => select(limits.to_vec())]
}

/// A size: mostly small, else on an edge.
pub(crate) fn size() -> BoxedStrategy<u32> {
    prop_oneof![6 => 1_u32..=9, 1 => 10_u32..=300, 2 => edge(), 1 => (1_u32..=29).prop_map(|power| 1 << power)].boxed()
}

/// A size of a row: mostly one that a kernel takes.
pub(crate) fn dim() -> BoxedStrategy<u32> {
    prop_oneof![4 => 1_u32..=16, 4 => select(&[32_u32, 64, 80, 128, 256, 512][..]), 1 => edge()].boxed()
}

/// A 64-bit number: an offset, a stride, bytes.
pub(crate) fn long() -> BoxedStrategy<u64> {
    let powers = (0_u32..64, -1_i128..=1).prop_map(|(power, by)| ((1_i128 << power) + by) as u64);
    prop_oneof![3 => Just(0), 3 => 0_u64..=4096, 3 => powers, 1 => Just(u64::MAX)].boxed()
}

pub(crate) fn layout() -> impl Strategy<Value = Layout> {
    (long(), long(), long(), long()).prop_map(|(offset, batch, head, row)| Layout { offset, batch, head, row })
}

pub(crate) fn float() -> BoxedStrategy<f32> {
    let edges = [
        0.0,
        -0.0,
        1.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        1e30,
        1.0001e30,
        -1e30,
    ];
    prop_oneof![select(edges.to_vec()), any::<u32>().prop_map(f32::from_bits), -2.0_f32..2.0].boxed()
}

pub(crate) fn dtype() -> impl Strategy<Value = DType> {
    let floats = select(&[DType::F32, DType::F16, DType::Bf16][..]);
    prop_oneof![9 => floats, 1 => select(&[DType::U32, DType::Bool, DType::Bit][..])]
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    select(&[Order::Bhsd, Order::Bshd][..])
}

pub(crate) fn rotary() -> impl Strategy<Value = Rotary> {
    let angles = prop_oneof![
        size().prop_map(|positions| Angles::Appended { positions }),
        size().prop_map(|positions| Angles::Ids { positions }),
        Just(Angles::Rows),
    ];
    (prop_oneof![3 => select(&[2_u32, 4, 8][..]), 1 => dim()], select(&[Pairs::Halves, Pairs::Interleaved][..]), angles)
        .prop_map(|(dim, pairs, angles)| Rotary { dim, pairs, angles })
}

pub(crate) fn block_form() -> impl Strategy<Value = BlockForm> {
    let block = prop_oneof![3 => select(&[16_u32, 64, 256][..]), 1 => size()];
    (size(), size(), block, size(), size()).prop_map(|(q_len, kv_len, block, heads, partial)| BlockForm {
        q_len,
        kv_len,
        block,
        heads,
        partial,
    })
}

/// Devices, among them some that nobody has.
pub(crate) fn caps() -> impl Strategy<Value = Caps> {
    let usual = Caps::webgpu();
    let bytes = prop_oneof![
        3 => Just(usual.binding_bytes),
        3 => select(&[0, 31, 255, 256, 1024, 8192, 1 << 20, (1 << 31) - 4, 1 << 31, 1 << 32, 1 << 40, u64::MAX][..]),
        1 => long(),
    ];
    let kinds = select(&[DeviceKind::Cpu, DeviceKind::Discrete, DeviceKind::Other][..]);
    let or = |usual: u32| prop_oneof![6 => Just(usual), 1 => edge()];
    let means = (any::<bool>(), any::<bool>(), select(&[None, Some([4, 32]), Some([32, 32])][..]));
    let counts = (or(usual.workgroup_bytes), or(usual.invocations), or(usual.workgroups), or(usual.storage_buffers));
    let align = || select(&[256_u32, 256, 1, 32, 512][..]);
    let matrix = select(&[None, None, Some(8), Some(16)][..]);
    (bytes, kinds, means, counts, align(), align(), matrix).prop_map(
        move |(binding_bytes, kind, (unrolls, f16, subgroups), counts, storage_align, uniform_align, matrix)| {
            let (workgroup_bytes, invocations, workgroups, storage_buffers) = counts;
            let (workgroup_bytes, invocations) = (workgroup_bytes.min(1 << 20), invocations.min(1 << 16));
            Caps {
                kind,
                unrolls,
                f16,
                subgroups,
                matrix,
                workgroup_bytes,
                invocations,
                workgroups,
                binding_bytes,
                storage_buffers,
                storage_align,
                uniform_align,
                ..Caps::webgpu()
            }
        },
    )
}
