//! What comes after the softmax of each row is known: a second look at the pairs, for scores, weights and measures of them.

use super::{
    Clear, Kernel, Measure, Pool, Receive, Scores, Top,
    attention::{Attention, MASKS},
    program::{Window, place},
    region::{Piece, Region, cut},
    workspace::Words,
};
use crate::{
    error::Error,
    measures::{MapOf, Measures, Pool as PoolBy},
    params::Params,
    shape::ScoreStage,
    tensor::Tensor,
};

/// The states of a region's rows: which part of them, and words from one part to the next.
#[derive(Clone, Copy)]
pub(super) struct States<'a> {
    pub(super) region: &'a Region,
    pub(super) part: u32,
    pub(super) step: u32,
}

/// A second look at pairs.
struct Look<'a> {
    kernel: Kernel,
    written: &'a [Tensor],
    /// Whether masks in memory count.
    masked: bool,
    along: Along,
    states: Option<States<'a>>,
}

/// What a work item of a second look has.
#[derive(Clone, Copy)]
enum Along {
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
    /// The first query row.
    row0: u32,
    head_share: f32,
    /// Whether all heads share one map.
    one: bool,
}

impl Attention<'_, '_> {
    /// Scores of a stage, or weights from the row states of a region that was computed before.
    pub(super) fn scores(
        &mut self,
        asked: &Region,
        stage: Option<ScoreStage>,
        states: Option<States<'_>>,
    ) -> Result<(), Error> {
        let kernel = Kernel::Scores(Scores::new(self.spec, self.builder.caps, stage)?);
        let written = if stage.is_some() { Tensor::Scores } else { Tensor::Weights };
        let masked = matches!(stage, Some(ScoreStage::Masked) | None);
        self.look(asked, &Look { kernel, written: &[written], masked, along: Along::Rows, states })
    }

    /// A second look at the pairs of a region, once the states of its rows are known.
    fn look(&mut self, asked: &Region, look: &Look<'_>) -> Result<(), Error> {
        let tiles = look.kernel.shader().workgroup();
        let masks: &[Tensor] = if look.masked { &MASKS } else { &[] };
        let operands = self.operands(&[&[Tensor::Q, Tensor::K], look.written, masks].concat());
        let flops = self.score_flops() + 16;
        let step = self.builder.step_flops();
        let keys = (step / (u64::from(tiles.rows) * flops)).clamp(1, u64::from(u32::MAX));
        let limits = self.builder.limits(keys as u32);
        let too_long = |piece: &Piece| {
            let parts = || piece.parts.iter().map(|keys| piece.region.over(keys.clone()));
            let classes = parts().map(|part| self.classes(&part, tiles).words()).max().unwrap_or(0);
            // A work item that goes along the rows must end in time as well.
            let longest = parts().map(|part| self.items(look, &part).1 * flops).max().unwrap_or(0);
            let late = (longest > step && piece.region.longest().is_some()).then_some(u64::MAX);
            Words { classes, ..self.words }.too_long(limits.window).or(late)
        };
        for piece in cut(asked.clone(), &operands, limits, too_long)? {
            for keys in &piece.parts {
                let region = piece.region.over(keys.clone());
                if look.masked {
                    self.words.classes = self.words.classes.max(self.classes(&region, tiles).words());
                }
                let classes = if look.masked { self.classify(&region, tiles)? } else { [0; 4] };
                let windows = self.builder.windows(&operands, &region);
                let written = windows.iter().find(|window| look.written.contains(&window.tensor));
                let weights_at = written.map_or([0; 4], |written| place(&operands, &windows, written.binding));
                let mut params =
                    Params { classes_at: classes, weights_at, ..self.params_over(&operands, &windows, &region) };
                if let Some(States { region: whole, part, step }) = look.states {
                    params = Params { states_at: self.states_at(whole), part, state_step: step, ..params };
                }
                self.dispatch_look(look, windows, params, &region, flops)?;
            }
        }
        Ok(())
    }

    fn dispatch_look(
        &mut self,
        look: &Look<'_>,
        mut windows: Vec<Window>,
        params: Params,
        region: &Region,
        flops: u64,
    ) -> Result<(), Error> {
        let (blocks, pairs) = match look.along {
            Along::Rows => return self.over_tiles(look.kernel, windows, params, region, flops),
            _ => self.items(look, region),
        };
        windows.push(self.words_window());
        let items = blocks * (region.heads.len() * region.batch.len()) as u64;
        let mut params = Params { blocks: blocks as u32, ..look.kernel.with_loops(params) };
        if let Along::Cells(map) = look.along {
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
                params.weights_at[2] = 0;
            }
        }
        self.builder.dispatch(look.kernel, windows, params, items, pairs * flops)
    }

    /// Work items of one head, and the pairs of the largest; those along rows are counted by their blocks.
    fn items(&self, look: &Look<'_>, region: &Region) -> (u64, u64) {
        let (rows, keys) = (region.rows.len() as u64, region.keys.len() as u64);
        let tiles = look.kernel.shader().workgroup();
        match (look.along, look.kernel) {
            (Along::Keys, _) => (keys.div_ceil(tiles.keys.into()), rows * u64::from(tiles.keys)),
            (Along::Cells(map), Kernel::Pool(pool)) => {
                let [group, strip] = pool.cells();
                let blocks = u64::from(map.cells[0].div_ceil(group)) * u64::from(map.cells[1].div_ceil(strip));
                let high = rows.min(u64::from(group) * u64::from(map.cell[0]));
                (blocks, high * keys.min(u64::from(strip) * u64::from(map.cell[1])))
            }
            _ => (self.blocks(region, tiles), u64::from(tiles.rows) * keys),
        }
    }

    /// Fills what measures add to.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        let Some(measures) = self.measures else { return Ok(()) };
        let chunk = self.builder.limits(1).window / 256 * 256;
        for tensor in [Tensor::RowMeasures, Tensor::TopWeights, Tensor::TopKeys, Tensor::Received, Tensor::Map] {
            let Some(view) = measures.view(tensor) else { continue };
            let (kernel, bytes) = (Kernel::Clear(Clear), view.bytes()?);
            let fill = if tensor == Tensor::TopKeys { u32::MAX } else { 0 };
            for start in (0..bytes).step_by(chunk as usize) {
                let bytes = start..bytes.min(start + chunk);
                let words = (bytes.end - bytes.start) / 4;
                let windows = vec![Window { binding: "cleared", tensor, bytes }];
                self.builder.dispatch(kernel, windows, Params { fill, ..Params::default() }, words, 1)?;
            }
        }
        Ok(())
    }

    pub(super) fn measure(
        &mut self,
        measures: &Measures,
        asked: &Region,
        states: Option<States<'_>>,
    ) -> Result<(), Error> {
        let (caps, masked) = (self.builder.caps, true);
        let look = |kernel, written, along| Look { kernel, written, masked, along, states };
        if measures.rows {
            let kernel = Kernel::Measure(Measure::new(measures, caps)?);
            self.look(asked, &look(kernel, &[Tensor::RowMeasures], Along::Rows))?;
        }
        if measures.top > 0 {
            let kernel = Kernel::Top(Top::new(measures, caps)?);
            self.look(asked, &look(kernel, &[Tensor::TopWeights, Tensor::TopKeys], Along::Rows))?;
        }
        if measures.received {
            let kernel = Kernel::Receive(Receive::new(measures, caps)?);
            self.look(asked, &look(kernel, &[Tensor::Received], Along::Keys))?;
        }
        let (Some(map), Some(cell), Some(view)) = (measures.map, measures.cell(), measures.view(Tensor::Map)) else {
            return Ok(());
        };
        let kernel = Kernel::Pool(Pool::new(measures, caps)?);
        let [heads, rows] = self.spec.only_or_all();
        let one = map.of == MapOf::AllHeads;
        let head_share = if one && map.pool == PoolBy::Sum { 1.0 / heads.len() as f32 } else { 1.0 };
        let cells = Cells { cells: [view.sizes[2], view.sizes[3]], cell, row0: rows.start, head_share, one };
        // Heads that share a map add to it one after the other.
        let together = if one { 1 } else { asked.heads.len() };
        for head in asked.heads.clone().step_by(together) {
            let heads = head..head + together as u32;
            let region = Region { heads, ..asked.clone() };
            self.look(&region, &look(kernel, &[Tensor::Map], Along::Cells(cells)))?;
        }
        Ok(())
    }
}
