//! What comes after the softmax of each row is known: a second look at the pairs, for scores, weights and measures of them.

use crate::{
    error::Error,
    kernels::{
        Kernel,
        helpers::clear::Clear,
        weights::{measure::MeasureKernel, pool::PoolKernel, receive::Receive, scores::Scores, top::Top},
    },
    problem::{
        attention::shape::ScoreStage,
        measures::{MapOf, Measures, Pool},
    },
    program::{
        attention::{MASKS, Pieces},
        builder::{Located, Window, over},
        region::{Limits, Piece, Region, cut},
        workspace::{States, Words},
    },
    shader::{params::Params, slot::Slot},
    tensor::Tensor,
};

/// A second look at pairs.
struct WeightsStep<'a> {
    kernel: Kernel,
    written: &'a [Tensor],
    /// Whether masks in memory count.
    masked: bool,
    along: Goes,
    states: Option<States<'a>>,
}

/// What a work item of a second look has.
#[derive(Clone, Copy)]
enum Goes {
    /// A block of rows.
    Rows,
    /// A tile of keys.
    Keys,
    /// Cells of a map.
    Cells(Cells),
}

/// The cells of a map.
#[derive(Clone, Copy)]
struct Cells {
    /// Rows of cells, and cells of a row.
    cells: [u32; 2],
    /// Query rows and keys of a cell.
    cell: [u32; 2],
    /// Rows of cells that a work item has, and cells of each.
    together: [u32; 2],
    /// The first query row.
    row0: u32,
    head_share: f32,
    /// Whether all heads share one map.
    one: bool,
}

impl Pieces<'_, '_> {
    /// Scores of a stage, or weights from the row states of a region that was computed before.
    pub(crate) fn scores(
        &mut self,
        asked: &Region,
        stage: Option<ScoreStage>,
        states: Option<States<'_>>,
    ) -> Result<(), Error> {
        let kernel = Kernel::Scores(Scores::new(self.spec, self.builder.caps, stage)?);
        let written = if stage.is_some() { Tensor::Scores } else { Tensor::Weights };
        let masked = matches!(stage, Some(ScoreStage::Masked) | None);
        self.weights_step(asked, &WeightsStep { kernel, written: &[written], masked, along: Goes::Rows, states })
    }

    /// A second look at the pairs of a region, once the states of its rows are known.
    fn weights_step(&mut self, asked: &Region, step: &WeightsStep<'_>) -> Result<(), Error> {
        let tiles = step.kernel.shader().workgroup();
        let masks: &[Tensor] = if step.masked { &MASKS } else { &[] };
        let operands = self.operands(&[&[Tensor::Q, Tensor::K], step.written, masks].concat());
        let flops = self.score_flops() + 16;
        let most = self.builder.step_flops();
        let keys = (most / (u64::from(tiles.rows) * flops)).clamp(1, u64::from(u32::MAX));
        let limits = self.builder.limits(keys as u32);
        let too_long = |piece: &Piece| {
            let parts = || piece.parts.iter().map(|keys| piece.region.over(keys.clone()));
            let classes = parts().map(|part| self.classes(&part, tiles).words()).max().unwrap_or(0);
            // A work item that goes along the rows must end in time as well.
            let longest = parts().map(|part| self.items(step, &part).1.saturating_mul(flops)).max().unwrap_or(0);
            let late = (longest > most && piece.region.longest().is_some()).then_some(u64::MAX);
            Words { classes, ..self.words }.too_long(limits.window).or(late)
        };
        for piece in cut(asked.clone(), &operands, limits, too_long)? {
            for keys in &piece.parts {
                let region = piece.region.over(keys.clone());
                if step.masked {
                    self.words.classes = self.words.classes.max(self.classes(&region, tiles).words());
                }
                let classes = if step.masked { self.classify(&region, tiles)? } else { None };
                let mut located = self.located(&operands, &region);
                classes.into_iter().for_each(|place| located.place(Slot::Classes, place));
                let mut params = over(&region, self.params);
                if let Some(States { region: whole, part, step }) = step.states {
                    located.place(Slot::States, self.states_at(whole));
                    params = Params { part, state_step: step, ..params };
                }
                self.dispatch_weights_step(step, located, params, &region, flops)?;
            }
        }
        Ok(())
    }

    fn dispatch_weights_step(
        &mut self,
        step: &WeightsStep<'_>,
        mut located: Located,
        params: Params,
        region: &Region,
        flops: u64,
    ) -> Result<(), Error> {
        let (blocks, pairs) = match step.along {
            Goes::Rows => return self.over_tiles(step.kernel, located, params, region, flops),
            _ => self.items(step, region),
        };
        located.bind(self.words_window());
        let items = blocks.saturating_mul((region.heads.len() * region.batch.len()) as u64);
        let mut params = Params { blocks: blocks as u32, ..params };
        if let Goes::Cells(map) = step.along {
            params = Params {
                map_rows: map.cells[0],
                map_columns: map.cells[1],
                cell_rows: map.cell[0],
                cell_keys: map.cell[1],
                cells_row0: map.row0,
                head_share: map.head_share,
                ..params
            };
            if map.one {
                located.share_heads(Tensor::Map);
            }
        }
        self.builder.dispatch(step.kernel, located, params, items, pairs.saturating_mul(flops))
    }

    /// Work items of one head, and the pairs of the largest; those along rows are counted by their blocks.
    fn items(&self, step: &WeightsStep<'_>, region: &Region) -> (u64, u64) {
        let (rows, keys) = (region.rows.len() as u64, region.keys.len() as u64);
        let tiles = step.kernel.shader().workgroup();
        match step.along {
            Goes::Rows => (self.blocks(region, tiles), u64::from(tiles.rows) * keys),
            Goes::Keys => (keys.div_ceil(tiles.keys.into()), rows * u64::from(tiles.keys)),
            Goes::Cells(map) => {
                let [group, strip] = map.together;
                let blocks = u64::from(map.cells[0].div_ceil(group)) * u64::from(map.cells[1].div_ceil(strip));
                let high = rows.min(u64::from(group) * u64::from(map.cell[0]));
                (blocks, high * keys.min(u64::from(strip) * u64::from(map.cell[1])))
            }
        }
    }

    /// Fills what measures add to.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        let Some(measures) = self.measures else { return Ok(()) };
        let Limits { window: max, align, .. } = self.builder.limits(1);
        let chunk = (max / align).max(1) * align;
        for tensor in [Tensor::RowMeasures, Tensor::TopWeights, Tensor::TopKeys, Tensor::Received, Tensor::Map] {
            let Some(view) = measures.view(tensor) else { continue };
            let (kernel, bytes) = (Kernel::Clear(Clear), view.bytes()?);
            // A binding may be shorter than what the next one must be aligned to.
            if bytes.min(chunk) > max {
                return Err(Error::BindingLimit { name: tensor.name(), bytes: bytes.min(chunk), max });
            }
            let fill = if tensor == Tensor::TopKeys { u32::MAX } else { 0 };
            for start in (0..bytes).step_by(chunk as usize) {
                let bytes = start..bytes.min(start + chunk);
                let words = (bytes.end - bytes.start) / 4;
                let mut located = Located::default();
                located.bind(Window { slot: Slot::Cleared, tensor, bytes });
                self.builder.dispatch(kernel, located, Params { fill, ..Params::default() }, words, 1)?;
            }
        }
        Ok(())
    }

    pub(crate) fn measure(
        &mut self,
        measures: &Measures,
        asked: &Region,
        states: Option<States<'_>>,
    ) -> Result<(), Error> {
        let (caps, masked) = (self.builder.caps, true);
        let step = |kernel, written, along| WeightsStep { kernel, written, masked, along, states };
        if measures.rows {
            let kernel = Kernel::Measure(MeasureKernel::new(measures, caps)?);
            self.weights_step(asked, &step(kernel, &[Tensor::RowMeasures], Goes::Rows))?;
        }
        if measures.top > 0 {
            let kernel = Kernel::Top(Top::new(measures, caps)?);
            self.weights_step(asked, &step(kernel, &[Tensor::TopWeights, Tensor::TopKeys], Goes::Rows))?;
        }
        if measures.received {
            let kernel = Kernel::Receive(Receive::new(measures, caps)?);
            self.weights_step(asked, &step(kernel, &[Tensor::Received], Goes::Keys))?;
        }
        let (Some(map), Some(cell), Some(view)) = (measures.map, measures.cell(), measures.view(Tensor::Map)) else {
            return Ok(());
        };
        let pool = PoolKernel::new(measures, caps)?;
        let (kernel, together) = (Kernel::Pool(pool), pool.cells());
        let [heads, rows] = self.spec.only_or_all();
        let one = map.of == MapOf::AllHeads;
        let head_share = if one && map.pool == Pool::Sum { 1.0 / heads.len() as f32 } else { 1.0 };
        let cells = Cells { cells: [view.sizes[2], view.sizes[3]], cell, together, row0: rows.start, head_share, one };
        // Heads that share a map add to it one after the other.
        let heads_at_once = if one { 1 } else { asked.heads.len() };
        for head in asked.heads.clone().step_by(heads_at_once) {
            let heads = head..head + heads_at_once as u32;
            let region = Region { heads, ..asked.clone() };
            self.weights_step(&region, &step(kernel, &[Tensor::Map], Goes::Cells(cells)))?;
        }
        Ok(())
    }
}
