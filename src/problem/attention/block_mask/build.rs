//! Block masks from predicates and from edges.

use std::ops::Range;

use crate::{
    error::Error,
    problem::attention::block_mask::{BlockForm, BlockMask, ENTRY, Seen},
};

/// A mask of one head that grows block by block.
struct Builder {
    form: BlockForm,
    table: Vec<u32>,
    parts: Vec<u32>,
}

impl Builder {
    fn new([q_len, kv_len]: [u32; 2], block: u32) -> Result<Self, Error> {
        let form = BlockForm { q_len, kv_len, block, heads: 1, partial: 0 };
        form.check()?;
        Ok(Self { form, table: vec![0; form.table_words() as usize], parts: Vec::new() })
    }

    fn entry(&mut self, row: u32, column: u32) -> &mut [u32] {
        let at = u64::from(row) * self.form.row_words() + u64::from(column / 32) * ENTRY;
        &mut self.table[at as usize..][..ENTRY as usize]
    }

    fn whole(&mut self, row: u32, column: u32) {
        self.entry(row, column)[1] |= 1 << (column % 32);
    }

    /// A block seen in part, whose pairs are bits from this word of the parts on. Blocks come row by row, in order.
    fn part(&mut self, row: u32, column: u32) -> usize {
        let before = self.form.partial;
        let entry = self.entry(row, column);
        if entry[0] == 0 {
            entry[2] = before;
        }
        entry[0] |= 1 << (column % 32);
        self.form.partial += 1;
        let at = self.parts.len();
        self.parts.resize(at + self.form.part_words() as usize, 0);
        at
    }

    /// Forgets the block seen in part that came last, and keeps it whole or not at all.
    fn take_back(&mut self, row: u32, column: u32, all: bool) {
        self.entry(row, column)[0] &= !(1 << (column % 32));
        self.form.partial -= 1;
        self.parts.truncate(self.parts.len() - self.form.part_words() as usize);
        if all {
            self.whole(row, column);
        }
    }

    fn see(&mut self, part: usize, (i, j): (u32, u32)) {
        let pair = i % self.form.block * self.form.block + j % self.form.block;
        self.parts[part + pair as usize / 32] |= 1 << (pair % 32);
    }

    /// Rows and keys of a block, as far as they exist.
    fn ranges(&self, row: u32, column: u32) -> [Range<u32>; 2] {
        let BlockForm { q_len, kv_len, block, .. } = self.form;
        [(row, q_len), (column, kv_len)].map(|(n, len)| n * block..(n * block + block).min(len))
    }

    /// Looks at every pair of a block.
    fn look(&mut self, (row, column): (u32, u32), sees: &impl Fn(u32, u32) -> bool) {
        let [rows, keys] = self.ranges(row, column);
        let (mut seen, pairs) = (0, rows.len() * keys.len());
        let part = self.part(row, column);
        for (i, j) in rows.flat_map(|i| keys.clone().map(move |j| (i, j))).filter(|&(i, j)| sees(i, j)) {
            self.see(part, (i, j));
            seen += 1;
        }
        if seen == 0 || seen == pairs {
            self.take_back(row, column, seen > 0);
        }
    }

    fn finish(self) -> Result<BlockMask, Error> {
        self.form.check()?;
        let mut words = self.table;
        words.extend(self.parts);
        Ok(BlockMask { form: self.form, words, partial: self.form.partial })
    }
}

impl BlockMask {
    /// The mask of a predicate of query and key, which is asked for every pair of `[q_len, kv_len]`.
    ///
    /// Refuses a length of 0 or above [`MAX_LEN`](crate::MAX_LEN), and a block that is not 16, 32, 64, 128 or 256 long.
    pub fn of(lens: [u32; 2], block: u32, sees: impl Fn(u32, u32) -> bool) -> Result<Self, Error> {
        Self::of_blocks(lens, block, |_, _| Seen::Some, sees)
    }

    /// The same, where whole blocks of rows and keys are asked for first and pairs only in those of which [`Seen::Some`] are seen.
    pub fn of_blocks(
        lens: [u32; 2],
        block: u32,
        look: impl Fn(Range<u32>, Range<u32>) -> Seen,
        sees: impl Fn(u32, u32) -> bool,
    ) -> Result<Self, Error> {
        let mut builder = Builder::new(lens, block)?;
        let [rows, columns] = builder.form.blocks();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let [i, j] = builder.ranges(row, column);
            match look(i, j) {
                Seen::None => {}
                Seen::All => builder.whole(row, column),
                Seen::Some => builder.look((row, column), &sees),
            }
        }
        builder.finish()
    }

    /// Each query sees the keys to which an edge `(query, key)` of a graph leads (graph attention, Velickovic et al. 2018), in any order;
    /// the same edge twice is one. Takes time for the edges and the table.
    ///
    /// Refuses what [`of`](Self::of) refuses, and an edge whose ends do not exist. Nodes that lie near their neighbours share blocks:
    /// their order matters.
    pub fn edges(lens: [u32; 2], block: u32, edges: &[(u32, u32)]) -> Result<Self, Error> {
        let mut builder = Builder::new(lens, block)?;
        let ends = [("the query of an edge", lens[0]), ("the key of an edge", lens[1])];
        for &(i, j) in edges {
            for ((name, len), from) in ends.into_iter().zip([i, j]) {
                if from >= len {
                    return Err(Error::Range { name, from, to: from.saturating_add(1), len });
                }
            }
        }
        let place = |&(i, j): &(u32, u32)| (i / block, j / block);
        let mut sorted = edges.to_vec();
        sorted.sort_unstable_by_key(|edge| (place(edge), *edge));
        sorted.dedup();
        for edges in sorted.chunk_by(|a, b| place(a) == place(b)) {
            let (row, column) = place(&edges[0]);
            let [rows, keys] = builder.ranges(row, column);
            if edges.len() == rows.len() * keys.len() {
                builder.whole(row, column);
                continue;
            }
            let part = builder.part(row, column);
            edges.iter().for_each(|&edge| builder.see(part, edge));
        }
        builder.finish()
    }

    /// A mask for each head, from masks of one head and one size.
    pub fn of_heads(masks: &[Self]) -> Result<Self, Error> {
        let first = masks.first().ok_or(Error::Zero { name: "heads" })?;
        let mut form = BlockForm { heads: masks.len() as u32, partial: 0, ..first.form };
        let (mut words, mut parts) = (Vec::new(), Vec::new());
        for mask in masks {
            if mask.form != (BlockForm { heads: 1, partial: mask.form.partial, ..first.form }) {
                return Err(Error::Conflict {
                    a: "a mask for each head",
                    b: "masks of other lengths, blocks or heads",
                });
            }
            let (table, bits) = mask.words.split_at(mask.form.table_words() as usize);
            let (entries, _) = table.as_chunks::<3>();
            words.extend(entries.iter().flat_map(|&[part, whole, before]| [part, whole, before + form.partial]));
            parts.extend_from_slice(&bits[..mask.partial as usize * first.form.part_words() as usize]);
            form.partial = form.partial.checked_add(mask.partial).ok_or(Error::Overflow { name: "the block mask" })?;
        }
        form.check()?;
        words.extend(parts);
        Ok(Self { form, words, partial: form.partial })
    }
}
