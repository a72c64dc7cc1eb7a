//! Masks: the band that kernels use, and the mask itself, against the definition.

use proptest::prelude::*;
use wgpu_attention::{Align, Band, MAX_LEN, Mask};

/// The definition as the acceptance cases word it: key `j` against the limits around `i + offset`.
fn visible(left: Option<u32>, right: Option<u32>, offset: i128, i: u32, j: u32) -> bool {
    let (i, j) = (i128::from(i), i128::from(j));
    left.is_none_or(|left| j >= i + offset - i128::from(left))
        && right.is_none_or(|right| j <= i + offset + i128::from(right))
}

/// Mask and band say what the definition says of one pair.
fn agree(left: Option<u32>, right: Option<u32>, offset: i64, (i, j): (u32, u32), kv_len: u32) -> bool {
    let mask = Mask::window(left, right);
    let Band { lo, hi } = mask.band(offset);
    let distance = i64::from(j) - i64::from(i);
    let wanted = visible(left, right, i128::from(offset), i, j);
    mask.sees(offset, i, j) == wanted
        && (i64::from(lo)..=i64::from(hi)).contains(&distance) == wanted
        && mask.band(offset).keys(i, kv_len).contains(&j) == wanted
}

const LIMITS: [Option<u32>; 6] = [None, Some(0), Some(1), Some(2), Some(5), Some(u32::MAX)];

fn windows() -> impl Iterator<Item = (Option<u32>, Option<u32>)> {
    LIMITS.into_iter().flat_map(|left| LIMITS.into_iter().map(move |right| (left, right)))
}

#[test]
fn band_is_sees_for_small_lengths() {
    let mut pairs = 0;
    for (left, right) in windows() {
        for (q_len, kv_len) in (1..6).flat_map(|q_len| (1..7).map(move |kv_len| (q_len, kv_len))) {
            let aligns = (-8..=8).map(Align::At).chain([Align::Start, Align::End]);
            for offset in aligns.map(|align| align.offset(q_len, kv_len)) {
                for (i, j) in (0..q_len).flat_map(|i| (0..kv_len).map(move |j| (i, j))) {
                    assert!(agree(left, right, offset, (i, j), kv_len), "{left:?} {right:?} {offset} ({i}, {j})");
                    pairs += 1;
                }
            }
        }
    }
    println!("{pairs} pairs");
}

#[test]
fn band_is_sees_at_the_extremes() {
    let extremes = [i32::MIN, i32::MIN + 1, -(MAX_LEN as i32) - 1, -(MAX_LEN as i32), -1, 0];
    let offsets = extremes.iter().flat_map(|&x| [i64::from(x), -i64::from(x)]);
    let limits = [0, 1, MAX_LEN - 1, MAX_LEN, MAX_LEN + 1, 1 << 31, u32::MAX].map(Some);
    let indices = [0, 1, MAX_LEN / 2, MAX_LEN - 2, MAX_LEN - 1];
    for offset in offsets {
        for (left, right) in limits.iter().flat_map(|&l| limits.iter().map(move |&r| (l, r))) {
            for (i, j) in indices.iter().flat_map(|&i| indices.iter().map(move |&j| (i, j))) {
                for (left, right) in [(left, right), (None, right), (left, None)] {
                    assert!(agree(left, right, offset, (i, j), MAX_LEN), "{left:?} {right:?} {offset} ({i}, {j})");
                }
            }
        }
    }
}

#[test]
fn bands_fit_the_arithmetic_of_shaders() {
    // shaders/parts/score/score.wgsl computes i + band_hi + 1 in 32 bits, for rows up to a tile past the last.
    for offset in [i64::from(i32::MIN), 0, i64::from(i32::MAX)] {
        for (left, right) in windows() {
            let Band { lo, hi } = Mask::window(left, right).band(offset);
            let past_the_last = MAX_LEN as i32 + 1024;
            assert!(past_the_last.checked_add(hi).and_then(|x| x.checked_add(1)).is_some());
            assert!(lo.checked_add(0).is_some() && lo <= hi);
        }
    }
}

#[test]
fn visible_keys_move_on_with_the_query() {
    for (left, right) in windows() {
        for offset in -9..9 {
            let keys = |i| Mask::window(left, right).band(offset).keys(i, 7);
            assert!((0..9).all(|i| keys(i).start <= keys(i + 1).start && keys(i).end <= keys(i + 1).end));
        }
    }
}

#[test]
fn both_masks_hold() {
    for (a, b) in windows().flat_map(|a| windows().map(move |b| (a, b))) {
        let [x, y] = [a, b].map(|(left, right)| Mask::window(left, right));
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            for offset in [-1, 0, 2] {
                assert_eq!(x.and(y).sees(offset, i, j), x.sees(offset, i, j) && y.sees(offset, i, j), "{a:?} {b:?}");
            }
        }
    }
}

#[test]
fn masks_are_what_they_are_called() {
    let seen = |mask: Mask, align: Align| {
        let row = |i| (0..5).map(|j| if mask.sees(align.offset(2, 5), i, j) { 'x' } else { '.' }).collect::<String>();
        [row(0), row(1)]
    };
    assert_eq!(seen(Mask::FULL, Align::Start), ["xxxxx", "xxxxx"]);
    assert_eq!(seen(Mask::causal(), Align::Start), ["x....", "xx..."]);
    assert_eq!(seen(Mask::causal(), Align::End), ["xxxx.", "xxxxx"]);
    assert_eq!(seen(Mask::causal(), Align::At(-1)), [".....", "x...."]);
    assert_eq!(seen(Mask::window(Some(1), Some(1)), Align::At(1)), ["xxx..", ".xxx."]);
    assert_eq!(seen(Mask::causal().and(Mask::window(Some(1), None)), Align::End), ["..xx.", "...xx"]);
    assert_eq!(Mask::FULL, Mask::default());
    assert_eq!(Mask::FULL.band(7), Band::FULL);
}

#[test]
fn alignments_are_offsets() {
    let offset = |align: Align| align.offset(3, 8);
    assert_eq!([Align::Start, Align::End, Align::At(-4)].map(offset), [0, 5, -4]);
    assert_eq!(Align::End.offset(8, 3), -5);
    assert_eq!(Align::End.offset(u32::MAX, 1), 1 - i64::from(u32::MAX));
    assert_eq!(Align::At(i32::MIN).offset(1, 1), i64::from(i32::MIN));
}

proptest! {
    #[test]
    fn band_is_sees(
        left: Option<u32>, right: Option<u32>, at: i32, i in 0..MAX_LEN, j in 0..MAX_LEN, near in -3i64..4,
    ) {
        prop_assert!(agree(left, right, at.into(), (i, j), MAX_LEN));
        // And where the edge of the window is near the pair.
        let edge = i64::from(j) - i64::from(i) - right.map_or(0, i64::from) + near;
        prop_assert!(agree(left, right, edge, (i, j), MAX_LEN));
        let edge = i64::from(j) - i64::from(i) + left.map_or(0, i64::from) + near;
        prop_assert!(agree(left, right, edge, (i, j), MAX_LEN));
    }
}
