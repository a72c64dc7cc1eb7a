//! Which keys a query sees.

use crate::problem::limits::MAX_LEN;
use std::ops::Range;

/// Where the queries stand among the keys: query `i` stands at key `i + offset`.
///
/// ```text
///   Start        End             q_len = 2, kv_len = 5, causal
///   x . . . .    x x x x .
///   x x . . .    x x x x x
/// ```
///
/// There is no default, because libraries disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Align {
    /// Query 0 stands at key 0 (offset 0): "top-left", the convention of `is_causal` in tensor libraries.
    Start,
    /// The last query stands at the last key (offset `kv_len - q_len`): "bottom-right", for KV caches.
    End,
    /// Query 0 stands at this key. May be negative.
    At(i32),
}

impl Align {
    /// The key at which query 0 stands.
    #[must_use]
    pub const fn offset(self, q_len: u32, kv_len: u32) -> i64 {
        match self {
            Self::Start => 0,
            Self::End => kv_len as i64 - q_len as i64,
            Self::At(key) => key as i64,
        }
    }
}

/// Which keys a query sees, as distances from where it stands (see [`Align`]).
///
/// A query that sees no key yields a row of zeros, weights of zero and an LSE of -inf.
///
/// ```
/// use wgpu_attention::Mask;
/// let local = Mask::causal().and(Mask::window(Some(16), None)); // itself and the 16 keys before it
/// assert!(local.sees(0, 20, 4) && !local.sees(0, 20, 3) && !local.sees(0, 20, 21));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask {
    left: Option<u32>,
    right: Option<u32>,
}

impl Mask {
    /// Every key.
    pub const FULL: Self = Self { left: None, right: None };

    /// The key at which the query stands, and all before it.
    #[must_use]
    pub const fn causal() -> Self {
        Self::window(None, Some(0))
    }

    /// At most `left` keys before the one at which the query stands, that one, and at most `right` after it;
    /// `None` is no limit.
    #[must_use]
    pub const fn window(left: Option<u32>, right: Option<u32>) -> Self {
        Self { left, right }
    }

    /// The keys that both masks let a query see.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { left: nearer(self.left, other.left), right: nearer(self.right, other.right) }
    }

    /// The definition: whether query `i` sees key `j`, with query 0 standing at key `offset`.
    #[must_use]
    pub const fn sees(self, offset: i64, i: u32, j: u32) -> bool {
        let distance = (j as i64).saturating_sub((i as i64).saturating_add(offset));
        within(self.left, distance.saturating_neg()) && within(self.right, distance)
    }

    /// The same as a range of `j - i`. This is all a kernel knows about a mask.
    #[must_use]
    pub fn band(self, offset: i64) -> Band {
        let limit = i64::from(MAX_LEN);
        let clamp = |x: i64| x.clamp(-limit, limit) as i32;
        Band {
            lo: self.left.map_or(-limit as i32, |left| clamp(offset.saturating_sub(left.into()))),
            hi: self.right.map_or(limit as i32, |right| clamp(offset.saturating_add(right.into()))),
        }
    }
}

const fn within(limit: Option<u32>, distance: i64) -> bool {
    match limit {
        Some(limit) => distance <= limit as i64,
        None => true,
    }
}

const fn nearer(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a < b { a } else { b }),
        (None, limit) | (limit, None) => limit,
    }
}

/// The visible `j - i`, both ends included, clamped to ±[`MAX_LEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Band {
    /// Smallest visible `j - i`.
    pub lo: i32,
    /// Largest visible `j - i`.
    pub hi: i32,
}

impl Band {
    /// Every key.
    pub const FULL: Self = Self { lo: -(MAX_LEN as i32), hi: MAX_LEN as i32 };

    /// The keys that query `i` sees. Empty where it sees none.
    #[must_use]
    pub fn keys(self, i: u32, kv_len: u32) -> Range<u32> {
        let clamp = |j: i64| j.clamp(0, i64::from(kv_len)) as u32;
        let i = i64::from(i);
        clamp(i + i64::from(self.lo))..clamp(i + i64::from(self.hi) + 1)
    }
}
