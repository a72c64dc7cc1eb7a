//! Layouts against brute force over all indices.

use std::collections::HashSet;

use proptest::prelude::*;
use wgpu_attention::{Layout, Order};

/// The first element of every row.
fn rows(at: Layout, [batch, heads, rows, _]: [u32; 4]) -> Vec<u128> {
    let mut all = Vec::new();
    for b in 0..u128::from(batch) {
        for h in 0..u128::from(heads) {
            for i in 0..u128::from(rows) {
                let [offset, batch, head, row] = [at.offset, at.batch, at.head, at.row].map(u128::from);
                all.push(offset + b * batch + h * head + i * row);
            }
        }
    }
    all
}

/// The address of every element.
fn elements(at: Layout, sizes: [u32; 4]) -> Vec<u128> {
    let dim = u128::from(sizes[3]);
    rows(at, sizes).into_iter().flat_map(|row| (0..dim).map(move |d| row + d)).collect()
}

fn is_distinct(addresses: &[u128]) -> bool {
    addresses.iter().collect::<HashSet<_>>().len() == addresses.len()
}

/// A dense tensor of these sizes in the order that `place` gives to the first three dimensions, each padded at its end.
fn nested(sizes: [u32; 4], place: [usize; 3], padding: [u64; 3]) -> Layout {
    let mut strides = [0; 3];
    let mut reach = u64::from(sizes[3]);
    for (dimension, pad) in place.into_iter().zip(padding) {
        strides[dimension] = reach + pad;
        reach = strides[dimension] * u64::from(sizes[dimension]);
    }
    let [batch, head, row] = strides;
    Layout { offset: 0, batch, head, row }
}

fn layout(most: u64) -> impl Strategy<Value = Layout> {
    let stride = || 0..most;
    (stride(), stride(), stride(), stride()).prop_map(|(offset, batch, head, row)| Layout { offset, batch, head, row })
}

proptest! {
    #[test]
    fn extent_is_one_past_the_largest_address(at in layout(50), sizes: [u8; 4]) {
        let sizes = sizes.map(|size| u32::from(size % 4) + 1);
        let largest = elements(at, sizes).into_iter().max().unwrap_or(0);
        prop_assert_eq!(at.extent(sizes).map(u128::from), Some(largest + 1));
    }

    #[test]
    fn extent_overflows_where_the_sum_does(at in layout(u64::MAX), sizes: [u32; 4], shift in 0u32..64) {
        let sizes = sizes.map(|size: u32| (size >> (shift / 2)).max(1));
        let at = Layout { offset: at.offset >> shift, batch: at.batch >> shift, ..at };
        let last = |size: u32, stride: u64| u128::from(size - 1) * u128::from(stride);
        let sum = u128::from(at.offset) + u128::from(sizes[3])
            + last(sizes[0], at.batch) + last(sizes[1], at.head) + last(sizes[2], at.row);
        prop_assert_eq!(at.extent(sizes), u64::try_from(sum).ok());
    }

    #[test]
    fn injective_layouts_have_distinct_addresses(at in layout(12), sizes: [u8; 4]) {
        let sizes = sizes.map(|size| u32::from(size % 3) + 1);
        prop_assert!(!at.is_injective(sizes) || is_distinct(&elements(at, sizes)));
    }

    #[test]
    fn every_order_of_dimensions_is_injective(
        place in Just([0, 1, 2]).prop_shuffle(), padding in [0u64..5, 0..5, 0..5], sizes: [u8; 4],
    ) {
        let sizes = sizes.map(|size| u32::from(size % 4) + 1);
        let at = nested(sizes, place, padding);
        prop_assert!(is_distinct(&elements(at, sizes)) && at.is_injective(sizes), "{:?} {:?}", at, sizes);
        // One less than dense, in a dimension that has two indices, is one too few.
        if padding[0] == 0 && sizes[place[0]] > 1 {
            let mut strides = [at.batch, at.head, at.row];
            strides[place[0]] -= 1;
            let [batch, head, row] = strides;
            let tight = Layout { batch, head, row, ..at };
            prop_assert!(!tight.is_injective(sizes));
        }
    }

    #[test]
    fn vec4_layouts_have_aligned_rows(at in layout(4), four: [bool; 4], sizes: [u8; 4], dim in 1u32..10) {
        let [batch, heads, len, _] = sizes.map(|size| u32::from(size % 3) + 1);
        let sizes = [batch, heads, len, dim];
        let scale = |n: u64, four: bool| if four { 4 * n } else { n };
        let at = Layout {
            offset: scale(at.offset, four[0]),
            batch: scale(at.batch, four[1]),
            head: scale(at.head, four[2]),
            row: scale(at.row, four[3]),
        };
        let aligned = dim % 4 == 0 && rows(at, sizes).iter().all(|row| row % 4 == 0);
        prop_assert_eq!(at.is_vec4(sizes), aligned);
    }
}

#[test]
fn dense_orders_fill_their_extent() {
    for (heads, len, dim) in [(1, 1, 1), (3, 5, 7), (2, 4, 8)] {
        let sizes = [2, heads, len, dim];
        for order in [Order::Bhsd, Order::Bshd] {
            let at = order.layout(heads, len, dim);
            assert_eq!(at.extent(sizes), Some(u64::from(2 * heads * len * dim)));
            assert!(at.is_injective(sizes) && is_distinct(&elements(at, sizes)));
        }
    }
    // The element [b, h, i, d] of [batch, len, heads, dim].
    assert_eq!(Order::Bshd.layout(3, 5, 7), Layout { offset: 0, batch: 105, head: 7, row: 21 });
    assert_eq!(Order::Bhsd.layout(3, 5, 7), Layout { offset: 0, batch: 105, head: 35, row: 7 });
}

#[test]
fn extreme_layouts_do_not_panic() {
    let far = Layout { offset: u64::MAX, batch: u64::MAX, head: u64::MAX, row: u64::MAX };
    let large = [u32::MAX; 4];
    assert_eq!(far.extent(large), None);
    assert!(!far.is_injective(large) && !far.is_vec4(large));
    assert_eq!(far.extent([1, 1, 1, 1]), None);
    assert_eq!(Layout { offset: u64::MAX - 1, ..far }.extent([1, 1, 1, 1]), Some(u64::MAX));
    let saturated = Order::Bhsd.layout(u32::MAX, u32::MAX, u32::MAX);
    assert_eq!(saturated.extent([2, u32::MAX, u32::MAX, u32::MAX]), None);
}
