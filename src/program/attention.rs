//! Attention as kernels: what lies in the workspace, and which dispatch computes what.
//!
//! ```text
//! append  (rotary: queries)  pack  { classify  forward  (merge)  (classify  scores: weights) } of each piece  (scores: a raw stage)
//! ```
//!
//! The workspace holds, one after the other: queries that turn with the keys of an append; small inputs packed together; row states of a piece, for each part of the keys and
//! for the whole; the classes of a piece's tiles; and, in a binding of its own, the partial outputs of a piece whose keys are cut.

use std::ops::Range;

use crate::{
    caps::DeviceKind,
    error::Error,
    kernels::{
        Kernel,
        forward::algorithm::Forward,
        helpers::{classify::Classify, merge::MergeKernel},
        workgroup::Workgroup,
    },
    problem::{
        attention::{grid::Grid, mask::Align, shape::ScoreTensor, spec::Spec},
        limits::Bits,
        measures::Measures,
    },
    program::{
        builder::{Builder, Located, Window, over},
        region::{Axis, Operand, Piece, Region, Span, cut},
        workspace::{Classes, Partial, States, Words, states},
    },
    shader::{params::Params, slot::Slot},
    tensor::{Tensor, layout::Layout, view::View},
};

/// Fewest keys for a work item of its own.
const SPLIT_KEYS: u32 = 256;

/// Most bytes of partial outputs that splitting may cost.
const SPLIT_BYTES: u64 = 1 << 20;

/// Operations of a sum of two numbers, its tanh, and a product with its weight.
const ADDITIVE_FLOPS: u64 = 32;

/// The inputs that are packed, in order.
const SMALL: [Tensor; 9] = [
    Tensor::Slopes,
    Tensor::Sinks,
    Tensor::KvLens,
    Tensor::CuQ,
    Tensor::CuK,
    Tensor::Ranges,
    Tensor::ScoreWeights,
    Tensor::HeadScales,
    Tensor::GridBias,
];

/// The masks in memory.
pub(crate) const MASKS: [Tensor; 3] = [Tensor::Bias, Tensor::Keep, Tensor::BlockMask];

pub(crate) struct Pieces<'a, 'b> {
    pub(crate) builder: &'a mut Builder<'b>,
    pub(crate) spec: &'a Spec,
    pub(crate) measures: Option<&'a Measures>,
    pub(crate) words: Words,
    pub(crate) params: Params,
    /// Small inputs in the workspace, and their places.
    small: Vec<(Tensor, [u32; 4])>,
    forward: Forward,
}

/// Parts into which the keys of a piece are cut: as many again as it has in memory, by work items that share them.
#[derive(Clone, Copy, Debug)]
struct Split {
    splits: u32,
    keys: u32,
}

impl<'a, 'b> Pieces<'a, 'b> {
    pub(crate) fn new(
        builder: &'a mut Builder<'b>,
        spec: &'a Spec,
        measures: Option<&'a Measures>,
        forward: Forward,
        turned: u64,
    ) -> Self {
        let align = builder.limits(1).align;
        let (params, words) = (params(spec), Words { turned, small: 0, states: 0, classes: 0, partial: 0, align });
        Self { builder, spec, measures, words, params, small: Vec::new(), forward }
    }

    /// The tiles of the forward kernel.
    fn tiles(&self) -> Workgroup {
        self.forward.shader().workgroup()
    }

    /// Small inputs into the workspace.
    pub(crate) fn pack(&mut self) -> Result<(), Error> {
        let mut word = 0;
        for tensor in SMALL {
            let Some(view) = self.view(tensor) else { continue };
            let place = self.builder.pack(&view, self.words.shared().start, word, self.spec.shared_buffer)?;
            self.small.push((tensor, place));
            word += view.bytes()? / 4;
        }
        self.words.small = word;
        Ok(())
    }

    /// All heads, rows and keys.
    fn all(&self) -> Region {
        let s = self.spec.shape();
        Region { batch: 0..s.batch, heads: 0..s.q_heads, rows: 0..s.q_len, keys: 0..s.kv_len }
    }

    /// The heads and rows of weights and scores.
    pub(crate) fn only(&self) -> Region {
        let [heads, rows] = self.spec.only_or_all();
        Region { heads, rows, ..self.all() }
    }

    pub(crate) fn operands(&self, tensors: &[Tensor]) -> Vec<Operand> {
        let s = self.spec.shape();
        let [heads, rows] = self.spec.only_or_all();
        let group = s.q_heads / s.kv_heads;
        let [b, h, r, k] = [Axis::Batch, Axis::Heads, Axis::Rows, Axis::Keys].map(|axis| Span::Along(axis, 0));
        let [only_h, only_r] = [Span::Along(Axis::Heads, heads.start), Span::Along(Axis::Rows, rows.start)];
        let operand = |&tensor: &Tensor| {
            let mut view = self.view(tensor)?;
            if tensor == Tensor::Q && self.words.turned > 0 {
                view.tensor = Tensor::Workspace;
            }
            let slot = if tensor == Tensor::Scores { Tensor::Weights } else { tensor };
            let spans = match tensor {
                Tensor::K | Tensor::V => [b, Span::Grouped(group), k, Span::Whole],
                Tensor::Bias | Tensor::Keep => [b, h, r, k],
                Tensor::Weights | Tensor::Scores => [b, only_h, only_r, k],
                Tensor::RowMeasures | Tensor::TopWeights | Tensor::TopKeys => [b, only_h, only_r, Span::Whole],
                Tensor::BlockMask => [Span::Whole; 4],
                Tensor::Received => [b, only_h, Span::Whole, k],
                Tensor::Map => {
                    let each = if view.sizes[1] > 1 { only_h } else { Span::Whole };
                    [b, each, Span::Whole, Span::Whole]
                }
                _ => [b, h, r, Span::Whole],
            };
            Some(Operand { slot: slot.into(), view, spans })
        };
        tensors.iter().filter_map(operand).collect()
    }

    /// out, log-sum-exp and weights.
    pub(crate) fn forward(&mut self) -> Result<(), Error> {
        let operands =
            self.operands(&[&[Tensor::Q, Tensor::K, Tensor::V, Tensor::Out, Tensor::Lse], &MASKS[..]].concat());
        let operands: Vec<_> =
            operands.into_iter().filter(|operand| self.spec.out || operand.view.tensor != Tensor::V).collect();
        let whole = if self.spec.out || self.spec.lse { self.all() } else { self.only() };
        // One row of tiles is the least work that a watchdog must let pass.
        let pair = u64::from(self.tiles().rows) * self.pair_flops();
        let keys = (self.builder.step_flops() / pair).clamp(1, u64::from(u32::MAX)) as u32;
        let limits = self.builder.limits(keys);
        let too_long = |piece: &Piece| self.words_of(piece).too_long(limits.window);
        let pieces = cut(whole, &operands, limits, too_long)?;
        for piece in &pieces {
            self.words = self.words.max(self.words_of(piece));
        }
        pieces.iter().try_for_each(|piece| self.piece(&operands, piece))
    }

    fn pair_flops(&self) -> u64 {
        let s = self.spec.shape();
        self.score_flops() + 2 * u64::from(if self.spec.out { s.value_dim } else { 0 })
    }

    /// Operations of one score.
    pub(crate) fn score_flops(&self) -> u64 {
        let element = if self.spec.additive { ADDITIVE_FLOPS } else { 2 };
        element * u64::from(self.spec.shape().head_dim)
    }

    /// What a piece takes of the workspace.
    fn words_of(&self, piece: &Piece) -> Words {
        let region = &piece.region;
        let rows = region.all_rows();
        let cuts = piece.parts.len() as u64 * u64::from(self.split(piece).splits);
        let apart = self.is_apart(cuts);
        let states = match (apart, self.spec.weights) {
            (true, _) => cuts + 1,
            (false, weights) => u64::from(weights),
        };
        let vec4s = u64::from(self.spec.shape().value_dim.div_ceil(4));
        let partial = if apart && self.spec.out { rows.saturating_mul(cuts * vec4s * 4) } else { 0 };
        let widest = piece
            .parts
            .iter()
            .map(|keys| region.over(keys.clone()))
            .map(|part| self.classes(&part, self.tiles()).words());
        Words { states: rows.saturating_mul(2 * states), partial, classes: widest.max().unwrap_or(0), ..self.words }
    }

    /// Whether results go through the workspace: where there are several to merge, and where all that a kernel binds is more than the
    /// device can bind to it, since a partial result has no log-sum-exp of its own.
    fn is_apart(&self, cuts: u64) -> bool {
        let Spec { out, lse, bias, keep, block_mask, .. } = self.spec;
        let masks = [bias.is_some(), keep.is_some(), block_mask.is_some()].into_iter().filter(|&there| there);
        let bound = 3 + 2 * u32::from(*out) + u32::from(*lse) + masks.count() as u32; // q, k, workspace
        cuts > 1 || bound > self.builder.caps.storage_buffers
    }

    /// Work items for the keys of one block of rows, so that there are enough to fill the device: memory and merging cost
    /// little beside idle processors.
    fn split(&self, piece: &Piece) -> Split {
        let (region, tiles) = (&piece.region, self.tiles());
        let keys = piece.parts.first().map_or(1, |keys| keys.end - keys.start);
        let wanted = match self.builder.caps.kind {
            DeviceKind::Cpu => 8,
            DeviceKind::Other => 128,
            DeviceKind::Discrete => 1024,
        };
        let blocks = self.blocks(region, tiles).saturating_mul(self.planes(region, tiles));
        let row_bytes = 4 * u64::from(self.spec.shape().value_dim.next_multiple_of(4)) + 8;
        let fit = SPLIT_BYTES / region.all_rows().saturating_mul(row_bytes * piece.parts.len() as u64).max(1);
        let most = u64::from(keys / SPLIT_KEYS).min(fit).max(1);
        let splits = (wanted / blocks.max(1)).clamp(1, most) as u32;
        let keys = keys.div_ceil(splits).next_multiple_of(tiles.keys);
        Split { splits: piece.parts.iter().map(|part| (part.end - part.start).div_ceil(keys)).max().unwrap_or(1), keys }
    }

    fn piece(&mut self, operands: &[Operand], piece: &Piece) -> Result<(), Error> {
        let (region, split) = (&piece.region, self.split(piece));
        let cuts = piece.parts.len() as u32 * split.splits;
        let apart = self.is_apart(cuts.into());
        self.builder.program.parts = self.builder.program.parts.max(cuts as usize);
        let partial = Partial::new(self.spec.shape(), region, cuts);
        for (part, keys) in piece.parts.iter().enumerate() {
            let region = region.over(keys.clone());
            let classes = self.classify(&region, self.tiles())?;
            let mut kernel = self.forward;
            let mut located = self.located(operands, &region);
            classes.into_iter().for_each(|place| located.place(Slot::Classes, place));
            located.place(Slot::States, self.states_at(&region));
            let mut params = Params {
                part: part as u32 * split.splits,
                state_step: partial.state_step,
                splits: split.splits,
                split_keys: split.keys,
                ..over(&region, self.params)
            };
            if apart {
                kernel = kernel.partial(&partial.view);
                located.place(Tensor::Out, partial.place());
                params.part_step = partial.step;
                located.bind(self.partial_window(Tensor::Out));
            }
            self.over_tiles(Kernel::Forward(kernel), located, params, &region, self.pair_flops())?;
        }
        if apart {
            self.merge(operands, region, &partial)?;
        }
        if let Some(asked) = self.spec.weights.then(|| region.and(&self.only())).flatten() {
            let part = if apart { cuts } else { 0 };
            let states = Some(States { region, part, step: partial.state_step });
            match self.measures {
                Some(measures) => self.measure(measures, &asked, states)?,
                None => self.scores(&asked, None, states)?,
            }
        }
        Ok(())
    }

    fn merge(&mut self, operands: &[Operand], region: &Region, partial: &Partial) -> Result<(), Error> {
        let kernel = Kernel::Merge(MergeKernel::sums(self.spec, self.builder.caps, &partial.view));
        let mut located = self.located(operands, region);
        located.place(Tensor::Parts, partial.place());
        located.place(Slot::States, self.states_at(region));
        located.bind(self.partial_window(Tensor::Parts));
        located.bind(self.words_window());
        let vec4s = if self.spec.out { self.spec.shape().value_dim.div_ceil(4) } else { 1 };
        let blocks = region.rows.len() as u64 * u64::from(vec4s);
        let params = Params {
            part_step: partial.step,
            state_step: partial.state_step,
            part: partial.parts,
            parts: partial.parts,
            blocks: blocks as u32,
            ..over(region, self.params)
        };
        let items = blocks * (region.heads.len() * region.batch.len()) as u64;
        self.builder.dispatch(kernel, located, params, items, 16 * u64::from(partial.parts))
    }

    /// Shape, layout and type of a tensor of the problem.
    fn view(&self, tensor: Tensor) -> Option<View> {
        self.measures.map_or_else(|| self.spec.view(tensor), |measures| measures.view(tensor))
    }

    /// Whatever a kernel of tiles does over a region.
    pub(crate) fn over_tiles(
        &mut self,
        kernel: Kernel,
        mut located: Located,
        params: Params,
        region: &Region,
        pair_flops: u64,
    ) -> Result<(), Error> {
        located.bind(self.words_window());
        let tiles = kernel.shader().workgroup();
        let blocks = self.blocks(region, tiles);
        let items = blocks.saturating_mul(self.planes(region, tiles)).saturating_mul(params.splits.into());
        let keys = region.keys.len().min(params.split_keys as usize) as u64;
        let item_flops = u64::from(tiles.rows) * keys * pair_flops;
        let params = Params { blocks: blocks as u32, ..params };
        self.builder.dispatch(kernel, located, params, items, item_flops)
    }

    /// Heads of all batch items that have blocks of their own.
    fn planes(&self, region: &Region, tiles: Workgroup) -> u64 {
        (region.batch.len() * self.heads(region, tiles).len()) as u64
    }

    /// Heads that have blocks of their own: query heads, or the key heads of those that share keys.
    fn heads(&self, region: &Region, tiles: Workgroup) -> Range<u32> {
        let Range { start, end } = region.heads;
        let group = if tiles.grouped { self.params.group } else { 1 };
        start / group..(end - 1) / group + 1
    }

    /// Blocks of rows of one head: with packed sequences enough for any lengths.
    pub(crate) fn blocks(&self, region: &Region, tiles: Workgroup) -> u64 {
        let rows = region.rows.len() as u64 * if tiles.grouped { u64::from(self.params.group) } else { 1 };
        match self.spec.sequences {
            Some(sequences) => rows / u64::from(tiles.rows) + u64::from(sequences),
            None => rows.div_ceil(tiles.rows.into()),
        }
    }

    /// The operands over a region, and the small inputs.
    pub(crate) fn located(&self, operands: &[Operand], region: &Region) -> Located {
        let mut located = self.builder.located(operands, region);
        self.small.iter().for_each(|&(tensor, place)| located.place(tensor, place));
        if let Some(form) = self.spec.block_mask {
            // The table has a row of words for each row of blocks.
            let row = form.row_words() as u32;
            let head = if form.heads > 1 { form.blocks()[0] * row } else { 0 };
            located.place(Tensor::BlockMask, [0, 0, head, row]);
        }
        located
    }

    /// The tile classes of a region: what is broadcast has one, unless each item has keys of its own.
    pub(crate) fn classes(&self, region: &Region, tiles: Workgroup) -> Classes {
        let tensors = [self.spec.bias, self.spec.keep].into_iter().flatten();
        if !self.spec.is_masked() {
            return Classes { sizes: [0; 3], words: 0 };
        }
        let size = |len: usize, own: bool, stride: fn(&Layout) -> u64| {
            let same = !own && tensors.clone().all(|tensor| stride(&tensor.layout) == 0);
            if same { 1 } else { len as u64 }
        };
        let batch = size(region.batch.len(), self.spec.kv_lens, |layout| layout.batch);
        // Where heads share blocks, the first and the last may be without some of them.
        let own = tiles.grouped || self.spec.block_mask.is_some_and(|form| form.heads > 1);
        let heads = size(self.heads(region, tiles).len(), own, |layout| layout.head);
        let own = self.spec.sequences.is_some() || tiles.grouped;
        let own = own || self.spec.block_mask.is_some();
        let rows = size(region.rows.len(), own, |layout| layout.row);
        let blocks = if rows > 1 || own { self.blocks(region, tiles) } else { 1 };
        let words = (region.keys.len() as u64).div_ceil(16 * u64::from(tiles.keys));
        Classes { sizes: [batch, heads, blocks], words }
    }

    /// Classifies the tiles of a region and says where that is written; `None` where no mask lies in memory.
    pub(crate) fn classify(&mut self, region: &Region, tiles: Workgroup) -> Result<Option<[u32; 4]>, Error> {
        let classes = self.classes(region, tiles);
        if classes.words == 0 {
            return Ok(None);
        }
        let [batch, heads, blocks] = classes.sizes;
        let operands = self.operands(&MASKS);
        let mut one = region.clone();
        one.batch.end = one.batch.start + batch as u32;
        if heads == 1 && !tiles.grouped {
            one.heads.end = one.heads.start + 1;
        }
        let first = self.heads(region, tiles).start;
        let at = classes.place([region.batch.start, first], self.words.small + self.words.states);
        let mut located = self.located(&operands, region);
        located.place(Slot::Classes, at);
        located.bind(self.words_window());
        let params = Params { blocks: blocks as u32, ..over(&one, self.params) };
        let kernel = Kernel::Classify(Classify::new(self.spec, self.builder.caps, tiles)?);
        let items = classes.words();
        let pairs = 16 * u64::from(tiles.rows) * u64::from(tiles.keys);
        self.builder.dispatch(kernel, located, params, items, 8 * pairs)?;
        Ok(Some(at))
    }

    pub(crate) fn states_at(&self, region: &Region) -> [u32; 4] {
        states(region, self.words.small)
    }

    pub(crate) fn words_window(&mut self) -> Window {
        let bytes = self.words.shared();
        self.builder.program.workspace_bytes = self.builder.program.workspace_bytes.max(bytes.end);
        self.builder.workspace(bytes)
    }

    /// Partial outputs, as the shader calls them.
    fn partial_window(&mut self, slot: Tensor) -> Window {
        let bytes = self.words.partial();
        self.builder.program.workspace_bytes = self.builder.program.workspace_bytes.max(bytes.end);
        Window { slot: slot.into(), ..self.builder.workspace(bytes) }
    }
}

/// What does not change from one dispatch to the next.
fn params(spec: &Spec) -> Params {
    let s = spec.shape();
    let on_device = spec.has_lengths() && spec.align == Some(Align::End);
    let stand = if on_device { 0 } else { spec.offset() };
    let band = spec.mask.band(stand);
    let place = |size: fn(&Grid) -> u32| spec.grid.as_ref().map_or(0, size);
    let columns = |tensor: Option<ScoreTensor>| tensor.map_or(0, |tensor| tensor.columns);
    Params {
        group: s.q_heads / s.kv_heads,
        q_len: s.q_len,
        kv_len: s.kv_len,
        sequences: spec.sequences.unwrap_or(0),
        appended: spec.append.map_or(0, |append| append.len),
        band_lo: band.lo,
        band_hi: band.hi,
        // Past these a distance is no longer exact, and no key is near.
        stand: stand.clamp(-(1 << 30), 1 << 30) as i32,
        from_end: on_device.into(),
        scale: spec.scale_or_default(),
        softcap: spec.softcap.map_or(0.0, Bits::get),
        bias_columns: columns(spec.bias),
        keep_columns: columns(spec.keep),
        block_parts_at: spec.block_mask.map_or(0, |form| form.table_words() as u32),
        block_parts: spec.block_mask.map_or(0, |form| form.partial),
        grid_rows: place(|grid| grid.rows),
        grid_columns: place(|grid| grid.columns),
        grid_window: place(|grid| grid.window),
        grid_shift: place(|grid| grid.shift.unwrap_or(0)),
        splits: 1,
        split_keys: s.kv_len.max(1),
        ..Params::default()
    }
}
