//! Which blocks of keys each block of queries sees, and which pairs of those: sparse attention as data.
//!
//! A block mask has one format, whoever makes it, in words `u32`:
//!
//! ```text
//! table   [heads, q_blocks, ceil(k_blocks / 32), 3]
//!         of 32 blocks of keys: a bit for each that is seen in part, a bit for each that is seen whole, and how many blocks
//!         that are seen in part stand before these
//! parts   [partial, block * block / 32]
//!         a bit for each pair of a block that is seen in part, rows first; the lowest bit of a word comes first
//! ```
//!
//! A bit for each block, and not a list of blocks: a kernel that asks about one block reads two words and counts bits, where a list
//! would be searched; that costs 3 bits for each block there is, 12 bytes for 32 of them, which at 65,536 x 65,536 in blocks of 64 is
//! 384 KiB. All else goes with the blocks that are kept.
//!
//! Kernels have tiles of their own sizes. `classify` finds which of those the mask empties, in which it hides nothing and in which pairs
//! must be looked up, as it does for a keep-mask and a bias: so all masks go together, and a tile that is smaller than a block is
//! skipped where it is empty inside a block that is kept. No number in a mask leads a kernel outside its binding: a part that has no
//! place hides its pairs.

mod build;
pub(crate) mod patterns;

use crate::{error::Error, problem::limits::MAX_LEN};

/// Fewest and most rows and keys of a block.
const BLOCKS: [u32; 2] = [16, 256];

/// Words of a table for 32 blocks.
const ENTRY: u64 = 3;

/// What a plan knows of a [`BlockMask`]: the plan then takes every mask of this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockForm {
    /// Queries.
    pub q_len: u32,
    /// Keys.
    pub kv_len: u32,
    /// Rows and keys of a block: 16, 32, 64, 128 or 256.
    pub block: u32,
    /// 1: all heads have one mask. `q_heads`: each has its own.
    pub heads: u32,
    /// Blocks seen in part for which there is room, those of all heads together.
    pub partial: u32,
}

impl BlockForm {
    /// Whether there are such masks.
    pub fn check(&self) -> Result<(), Error> {
        let Self { q_len, kv_len, block, heads, .. } = *self;
        for (name, got, max) in [("q_len", q_len, MAX_LEN), ("kv_len", kv_len, MAX_LEN), ("heads", heads, u32::MAX)] {
            if got == 0 {
                return Err(Error::Zero { name });
            }
            if got > max {
                return Err(Error::TooLarge { name, got: got.into(), max: max.into() });
            }
        }
        let [least, most] = BLOCKS;
        if !block.is_power_of_two() || !(least..=most).contains(&block) {
            return Err(Error::Block { got: block, least, most });
        }
        let table = u64::from(self.heads).saturating_mul(u64::from(self.blocks()[0]) * self.row_words());
        let (got, max) = (table.saturating_add(u64::from(self.partial) * self.part_words()), u64::from(u32::MAX));
        if got > max {
            return Err(Error::TooLarge { name: "words of the block mask", got, max });
        }
        Ok(())
    }

    /// Words of the masks of this form; of one that [`check`](Self::check) refuses a number that means nothing.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.table_words().saturating_add(u64::from(self.partial).saturating_mul(self.part_words()))
    }

    /// Blocks of queries and of keys.
    pub(crate) fn blocks(&self) -> [u32; 2] {
        [self.q_len, self.kv_len].map(|len| len.div_ceil(self.block.max(1)))
    }

    /// Words of the table of one block of queries.
    pub(crate) fn row_words(&self) -> u64 {
        u64::from(self.blocks()[1].div_ceil(32)) * ENTRY
    }

    /// Words before the parts.
    pub(crate) fn table_words(&self) -> u64 {
        u64::from(self.heads).saturating_mul(u64::from(self.blocks()[0])).saturating_mul(self.row_words())
    }

    /// Words of a block that is seen in part.
    fn part_words(&self) -> u64 {
        u64::from(self.block) * u64::from(self.block) / 32
    }

    /// Whether a mask of this form lets query `i` of a head see key `j`; no where its words say nothing.
    pub(crate) fn sees(&self, words: &[u32], head: u32, (i, j): (u32, u32)) -> bool {
        let word = |at: u64| usize::try_from(at).ok().and_then(|at| words.get(at)).copied().unwrap_or(0);
        if i >= self.q_len || j >= self.kv_len {
            return false;
        }
        let head = if self.heads == 1 { 0 } else { u64::from(head) };
        let (row, column) = (u64::from(i / self.block), u64::from(j / self.block));
        let entry = (head * u64::from(self.blocks()[0]) + row) * self.row_words() + column / 32 * ENTRY;
        let (in_part, whole, before) = (word(entry), word(entry + 1), word(entry + 2));
        let has = |bits: u32| bits >> (column % 32) & 1 == 1;
        if has(whole) || !has(in_part) {
            return has(whole);
        }
        let part = before.wrapping_add((0..column % 32).filter(|n| in_part >> n & 1 == 1).count() as u32);
        let pair = u64::from(i % self.block) * u64::from(self.block) + u64::from(j % self.block);
        let bits = word(self.table_words() + u64::from(part) * self.part_words() + pair / 32);
        part < self.partial && bits >> (pair % 32) & 1 == 1
    }
}

/// Which pairs a mask sees of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// None of them.
    None,
    /// Some of them, or who knows.
    Some,
    /// Every one.
    All,
}

/// A mask that says of each block of queries and keys whether it is seen whole, in part or not at all: the blocks that are not seen cost
/// neither time nor memory. It goes with every other mask: a pair is seen where all of them see it.
///
/// Made on the host, from any predicate ([`of`](Self::of)), from a pattern ([`pattern`](Self::pattern)), from documents side by side
/// ([`documents`](Self::documents)) or from the edges of a graph ([`edges`](Self::edges)). Its [`form`](Self::form) goes to
/// [`Spec::block_mask`](crate::Spec::block_mask), its [`words`](Self::words) to the device.
///
/// ```
/// use wgpu_attention::{BlockMask, Inputs, Pattern, Shape, Spec, reference};
/// let mask = BlockMask::pattern([100, 100], 16, Pattern::Strided { local: 4, stride: 64 })?;
/// assert!(mask.sees(0, 80, 84) && mask.sees(0, 80, 16) && !mask.sees(0, 80, 15));
/// assert_eq!((mask.kept(), mask.blocks()), (25, 49));
///
/// let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 100, kv_len: 100, head_dim: 1, value_dim: 1 };
/// let spec = Spec::new(shape).block_mask(mask.form());
/// let inputs = Inputs::new(&[0.0; 100], &[0.0; 100], &[1.0; 100]).block_mask(mask.words());
/// assert!((reference::attention(&spec, &inputs).out()[99] - 1.0).abs() < 1e-12);
/// # Ok::<(), wgpu_attention::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMask {
    form: BlockForm,
    words: Vec<u32>,
    /// Blocks seen in part.
    partial: u32,
}

impl BlockMask {
    /// What a plan must know of it.
    #[must_use]
    pub const fn form(&self) -> BlockForm {
        self.form
    }

    /// The mask as a device reads it ([`Tensor::BlockMask`](crate::Tensor::BlockMask)).
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The same with room for the given number of blocks seen in part, so that masks of one plan may differ; no less than it has.
    pub fn with_room(mut self, partial: u32) -> Result<Self, Error> {
        self.form.partial = partial.max(self.partial);
        self.form.check()?;
        self.words.resize(self.form.words() as usize, 0);
        Ok(self)
    }

    /// Whether query `i` of a head sees key `j`.
    #[must_use]
    pub fn sees(&self, head: u32, i: u32, j: u32) -> bool {
        (self.form.heads == 1 || head < self.form.heads) && self.form.sees(&self.words, head, (i, j))
    }

    /// Blocks seen whole or in part, of all heads.
    #[must_use]
    pub fn kept(&self) -> u64 {
        let (entries, _) = self.words[..self.form.table_words() as usize].as_chunks::<3>();
        entries.iter().map(|[in_part, whole, _]| u64::from((in_part | whole).count_ones())).sum()
    }

    /// Blocks seen in part, of all heads.
    #[must_use]
    pub const fn partial(&self) -> u32 {
        self.partial
    }

    /// Blocks that there are, of all heads.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        let [rows, columns] = self.form.blocks().map(u64::from);
        u64::from(self.form.heads) * rows * columns
    }

    /// The share of blocks that are kept.
    #[must_use]
    pub fn density(&self) -> f64 {
        self.kept() as f64 / self.blocks() as f64
    }
}
