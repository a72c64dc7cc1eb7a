//! Block masks of standard patterns. Each is asked block by block, and pair by pair only where a block is cut.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    error::Error,
    problem::attention::block_mask::{BlockForm, BlockMask, Seen},
};

/// A standard sparse pattern: which keys `j` a query `i` sees. Positions are rows of q and of k; [`Spec::mask`](crate::Spec::mask)
/// makes any of them causal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `|i - j| <= window`; or `i < globals` or `j < globals`, so that the first tokens see all and are seen by all (Longformer,
    /// Beltagy et al. 2020); or one of `random` whole blocks of keys, drawn anew for each block of queries from all there are
    /// (BigBird, Zaheer et al. 2020). The same seed gives the same blocks.
    LocalGlobalRandom {
        /// Most distance of a near key.
        window: u32,
        /// Tokens that see all and are seen by all.
        globals: u32,
        /// Blocks of keys drawn for each block of queries.
        random: u32,
        /// Of the draw.
        seed: u64,
    },
    /// `|i - j| <= local`, or a distance that is a multiple of `stride` (Child et al. 2019). A stride of 0 sees only near keys. Blocks
    /// are empty only where the stride is longer than two of them.
    Strided {
        /// Most distance of a near key.
        local: u32,
        /// From one distant key to the next.
        stride: u32,
    },
    /// `j < prefix` or `j <= i`: a prefix that is seen by all, and causal after it (Raffel et al. 2020).
    PrefixLm {
        /// Keys seen by all.
        prefix: u32,
    },
}

impl BlockMask {
    /// The mask of a pattern over `[q_len, kv_len]`. Refuses what [`of`](Self::of) refuses.
    pub fn pattern(lens: [u32; 2], block: u32, pattern: Pattern) -> Result<Self, Error> {
        BlockForm { q_len: lens[0], kv_len: lens[1], block, heads: 1, partial: 0 }.check()?;
        match pattern {
            Pattern::LocalGlobalRandom { window, globals, random, seed } => {
                let columns = lens[1].div_ceil(block);
                let draws = Draws::new(seed, lens[0].div_ceil(block), random, columns);
                let look = |rows: Range<u32>, keys: Range<u32>| {
                    let drawn = draws.has(rows.start / block, keys.start / block);
                    let global = any([first(&rows, globals), first(&keys, globals)]);
                    if drawn { Seen::All } else { any([global, near(&rows, &keys, window)]) }
                };
                Self::of_blocks(lens, block, look, |i, j| i.min(j) < globals || i.abs_diff(j) <= window)
            }
            Pattern::Strided { local, stride } => {
                let look = |rows: Range<u32>, keys: Range<u32>| {
                    any([near(&rows, &keys, local), strided(&rows, &keys, stride)])
                };
                let far = |i: u32, j: u32| stride > 0 && i.abs_diff(j).is_multiple_of(stride);
                Self::of_blocks(lens, block, look, |i, j| i.abs_diff(j) <= local || far(i, j))
            }
            Pattern::PrefixLm { prefix } => {
                let look = |rows: Range<u32>, keys: Range<u32>| any([first(&keys, prefix), before(&rows, &keys)]);
                Self::of_blocks(lens, block, look, |i, j| j < prefix || j <= i)
            }
        }
    }

    /// Documents of these lengths side by side, of which each sees itself. `q_len` and `kv_len` are their sum.
    pub fn documents(lens: &[u32], block: u32) -> Result<Self, Error> {
        let mut ends = Vec::new();
        let mut end = 0_u32;
        for &len in lens {
            end = end.checked_add(len).ok_or(Error::Overflow { name: "the documents" })?;
            ends.push(end);
        }
        let of = |i: u32| ends.partition_point(|&end| end <= i);
        let look = |rows: Range<u32>, keys: Range<u32>| {
            let [rows, keys] = [rows, keys].map(|range| [of(range.start), of(range.end - 1)]);
            if rows[1] < keys[0] || keys[1] < rows[0] {
                Seen::None
            } else if rows[0] == rows[1] && rows == keys {
                Seen::All
            } else {
                Seen::Some
            }
        };
        Self::of_blocks([end, end], block, look, |i, j| of(i) == of(j))
    }
}

/// What is seen where one of two patterns is enough.
fn any(seen: [Seen; 2]) -> Seen {
    match seen {
        [Seen::All, _] | [_, Seen::All] => Seen::All,
        [Seen::None, Seen::None] => Seen::None,
        _ => Seen::Some,
    }
}

/// Those below a number.
fn first(range: &Range<u32>, end: u32) -> Seen {
    if range.end <= end {
        Seen::All
    } else if range.start < end {
        Seen::Some
    } else {
        Seen::None
    }
}

/// Pairs at most so far from each other.
fn near(rows: &Range<u32>, keys: &Range<u32>, far: u32) -> Seen {
    let gap = keys.start.saturating_sub(rows.end - 1).max(rows.start.saturating_sub(keys.end - 1));
    let reach = (keys.end - 1).saturating_sub(rows.start).max((rows.end - 1).saturating_sub(keys.start));
    if reach <= far {
        Seen::All
    } else if gap <= far {
        Seen::Some
    } else {
        Seen::None
    }
}

/// Pairs whose distance is a multiple of the stride.
fn strided(rows: &Range<u32>, keys: &Range<u32>, stride: u32) -> Seen {
    let distance = |i: u32, j: u32| i64::from(j) - i64::from(i);
    let (least, most) = (distance(rows.end - 1, keys.start), distance(rows.start, keys.end - 1));
    match i64::from(stride) {
        0 => Seen::None,
        1 => Seen::All,
        stride if most.div_euclid(stride) * stride >= least => Seen::Some,
        _ => Seen::None,
    }
}

/// Pairs whose key does not come after the query.
fn before(rows: &Range<u32>, keys: &Range<u32>) -> Seen {
    if keys.end - 1 <= rows.start {
        Seen::All
    } else if keys.start < rows.end {
        Seen::Some
    } else {
        Seen::None
    }
}

/// The blocks of keys drawn for each block of queries.
struct Draws(Vec<BTreeSet<u32>>);

impl Draws {
    fn new(seed: u64, rows: u32, random: u32, columns: u32) -> Self {
        let mut state = seed;
        // Floyd's way: each set of that size is as likely as any other.
        let row = |_| {
            let mut drawn = BTreeSet::new();
            for most in columns.saturating_sub(random)..columns {
                let n = (next(&mut state) % (u64::from(most) + 1)) as u32;
                if !drawn.insert(n) {
                    drawn.insert(most);
                }
            }
            drawn
        };
        Self((0..rows).map(row).collect())
    }

    fn has(&self, row: u32, column: u32) -> bool {
        self.0.get(row as usize).is_some_and(|drawn| drawn.contains(&column))
    }
}

/// The next number of a sequence that looks random (SplitMix64, Steele et al. 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
