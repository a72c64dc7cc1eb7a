//! How a plan will run, in words.

use std::{
    fmt::{self, Display, Formatter},
    ops::Range,
};

use crate::{
    caps::DeviceKind,
    device::plan::{Plan, Planned},
    kernels::{Kernel, workgroup::Workgroup},
    problem::{
        Problem,
        attention::{
            block_mask::BlockForm,
            grid::Grid,
            mask::{Align, Band},
            shape::{ScoreStage, Slopes},
            spec::Spec,
        },
        measures::Measures,
    },
    shader::params::Params,
    tensor::{
        Tensor,
        layout::{Layout, Order},
    },
};

/// What [`Plan::explain`] says; print it.
#[derive(Clone, Debug)]
pub struct Explanation(Plan);

impl Plan {
    /// The problem, its features, outputs, layouts and types, the device, the algorithm and why, each kernel's tiles and how many of them
    /// are skipped, dispatches, memory, and what would make it faster.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        Explanation(self.clone())
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let planned = &*self.0.inner;
        let program = &planned.program;
        if let Some(algorithm) = program.algorithm {
            writeln!(f, "algorithm   {algorithm}: {}", program.because)?;
        }
        match &planned.problem {
            Problem::Attention(spec) => attention(f, spec)?,
            Problem::Measures(measures) => {
                attention(f, &Spec { weights: false, ..measures.spec().clone() })?;
                measured(f, measures)?;
            }
            Problem::Rope(rope) => {
                let [batch, heads, len, dim] = rope.sizes();
                let turned = rope.rotary.dim;
                writeln!(
                    f,
                    "problem     rotary embedding of {turned} of {dim} elements of {len} rows, {heads} heads, batch {batch}"
                )?;
            }
            Problem::Merge(merge) => {
                let [batch, heads, len, dim] = merge.sizes();
                let parts = merge.parts;
                writeln!(f, "problem     merge of {parts} parts of {len} rows of {dim}, {heads} heads, batch {batch}")?;
            }
            Problem::Divergence(divergence) => {
                let [batch, heads, rows, kv_len] = divergence.sizes();
                writeln!(
                    f,
                    "problem     divergence of two attentions, {rows} rows of {kv_len} weights, {heads} heads, batch {batch}"
                )?;
            }
            Problem::Linear(linear) => {
                let [rows, inputs, outputs] = linear.sizes();
                let activation = linear.activation;
                writeln!(
                    f,
                    "problem     linear layer of {rows} rows, {inputs} to {outputs}, activation {activation:?}"
                )?;
            }
            Problem::Norm(norm) => {
                let ([rows, dim], kind) = (norm.sizes(), norm.kind);
                writeln!(f, "problem     normalisation of {rows} rows of {dim}, {kind:?}")?;
            }
            Problem::Embed(embed) => {
                let [rows, vocabulary, dim] = embed.sizes();
                writeln!(f, "problem     {rows} rows of {dim} from a table of {vocabulary}")?;
            }
            Problem::Locate(locate) => {
                let [batch, heads, len, dim] = locate.sizes();
                let (filters, width) = (locate.channels, locate.width);
                writeln!(
                    f,
                    "problem     {filters} filters, {width} keys wide, over {len} keys of {dim}, {heads} heads, batch {batch}"
                )?;
            }
        }
        writeln!(f, "device      {}", planned.caps.adapter)?;
        for (index, kernel) in program.kernels.iter().enumerate() {
            kernel_in_words(f, kernel, index, planned)?;
        }
        let (steps, workspace, parameters) = (self.0.steps(), self.0.workspace_bytes(), self.0.parameter_bytes());
        let bytes = workspace + parameters;
        write!(
            f,
            "cost        {}; {bytes} bytes of memory besides the tensors",
            count(steps as u64, "dispatch", "dispatches")
        )?;
        if workspace > 0 {
            write!(f, ", {workspace} of them workspace")?;
        }
        faster(planned).into_iter().try_for_each(|what| write!(f, "\nfaster      {what}"))
    }
}

/// A number of things, in words.
fn count(n: impl Into<u64>, one: &str, several: &str) -> String {
    let n = n.into();
    format!("{n} {}", if n == 1 { one } else { several })
}

/// What a caller could change to make it faster, a line each.
fn faster(planned: &Planned) -> Vec<String> {
    let mut said = Vec::new();
    let loads: Vec<_> = planned.program.kernels.iter().map(|kernel| kernel.shader().loads()).collect();
    if loads.iter().any(|loads| loads.contains("1 per load")) {
        said.push("with sizes, strides and offsets that are multiples of 4: elements are loaded one by one".into());
    }
    if planned.caps.kind == DeviceKind::Cpu {
        said.push("with a driver of a GPU: this adapter is a software driver".into());
    }
    said
}

/// What is written, and where tensors lie that are not dense in the order [batch, heads, len, dim].
fn outputs_and_layouts(f: &mut Formatter<'_>, spec: &Spec) -> fmt::Result {
    let written = spec.views().filter(|view| view.is_output()).map(|view| view.tensor.name()).collect::<Vec<_>>();
    if !written.is_empty() {
        writeln!(f, "outputs     {}", written.join(", "))?;
    }
    for view in [Tensor::Q, Tensor::K, Tensor::V, Tensor::Out].into_iter().filter_map(|tensor| spec.view(tensor)) {
        let name = view.tensor.name();
        let Layout { offset, batch, head, row } = view.layout;
        let [_, heads, rows, dim] = view.sizes;
        if view.layout == Order::Bhsd.layout(heads, rows, dim) {
            continue;
        }
        let order = if view.layout == Order::Bshd.layout(heads, rows, dim) { " [batch, len, heads, dim]," } else { "" };
        writeln!(
            f,
            "layout      {name}{order} from element {offset}, strides {batch} (batch), {head} (head), {row} (row)"
        )?;
    }
    Ok(())
}

fn attention(f: &mut Formatter<'_>, spec: &Spec) -> fmt::Result {
    let shape = spec.shape();
    writeln!(
        f,
        "problem     batch {}, {}, {}, {} x {}",
        shape.batch,
        count(shape.q_heads, "query head", "query heads"),
        count(shape.kv_heads, "key head", "key heads"),
        count(shape.q_len, "query", "queries"),
        count(shape.kv_len, "key", "keys"),
    )?;
    let (head_dim, value_dim, scale) = (shape.head_dim, shape.value_dim, spec.scale_or_default());
    writeln!(f, "            head_dim {head_dim}, value_dim {value_dim}, scale {scale}, {}", mask_in_words(spec))?;
    for feature in features(spec) {
        writeln!(f, "            {feature}")?;
    }
    outputs_and_layouts(f, spec)?;
    let out = if spec.out { spec.types.out.to_string() } else { "none".into() };
    writeln!(f, "precision   q {}, k and v {}, out {out}; accumulated in f32", spec.types.q, spec.types.kv)
}

/// What is measured, a line each.
fn measured(f: &mut Formatter<'_>, measures: &Measures) -> fmt::Result {
    if measures.rows {
        writeln!(
            f,
            "measures    of rows: entropy, largest weight, distance, sums, {} of them over ranges of keys",
            measures.ranges
        )?;
    }
    if measures.top > 0 {
        writeln!(f, "measures    of rows: the {} largest weights and their keys", measures.top)?;
    }
    if measures.received {
        writeln!(f, "measures    of keys: what they get from all rows")?;
    }
    if let (Some([rows, keys]), Some(map)) = (measures.cell(), measures.view(Tensor::Map)) {
        let [_, maps, height, width] = map.sizes;
        let maps = if maps == 1 { "a map".into() } else { format!("{maps} maps") };
        writeln!(f, "measures    {maps} of {height} x {width} cells of {rows} queries x {keys} keys")?;
    }
    Ok(())
}

/// What a spec asks for beyond the plain formula, a line each.
fn features(spec: &Spec) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(append) = spec.append {
        let turned = append
            .rotary
            .map_or(String::new(), |rotary| format!("; {} elements of each new key and query rotated", rotary.dim));
        said.push(format!("{} appended to each item{turned}", count(append.len, "new key", "new keys")));
    }
    match (spec.sequences, spec.kv_lens) {
        (Some(sequences), _) => said.push(format!("{sequences} packed sequences, whose lengths the device reads")),
        (None, true) => said.push("key lengths that the device reads".into()),
        (None, false) => {}
    }
    let columns =
        |columns: u32| if columns < spec.shape.kv_len { format!(" of {columns} columns") } else { String::new() };
    if let Some(cap) = spec.softcap {
        said.push(format!("scores capped at {cap:?}"));
    }
    if let Some(bias) = spec.bias {
        said.push(format!("bias in {}{}", spec.types.bias, columns(bias.columns)));
    }
    if let Some(keep) = spec.keep {
        said.push(format!(
            "keep-mask in {}s{}",
            if spec.types.keep.bits() == 1 { "bit" } else { "byte" },
            columns(keep.columns)
        ));
    }
    if let Some(BlockForm { block, heads, partial, .. }) = spec.block_mask {
        let own = if heads > 1 { ", of each head its own" } else { "" };
        said.push(format!("block mask in blocks of {block}{own}, {partial} of them at most in part"));
    }
    match spec.alibi {
        Some(Slopes::Head) => said.push("ALiBi, a slope per head".into()),
        Some(Slopes::BatchHead) => said.push("ALiBi, a slope per item and head".into()),
        None => {}
    }
    if let Some(Grid { rows, columns, window, shift, .. }) = spec.grid {
        let seen = shift.map_or("around it".into(), |shift| format!("of its window, {shift} past the corner"));
        said.push(format!("a grid of {rows} x {columns} places, of which a query sees {window} x {window} {seen}"));
    }
    if spec.additive {
        said.push("additive scores: weighted sums of tanh".into());
    }
    if spec.head_scales {
        said.push("a factor on the scores of each head".into());
    }
    if spec.sinks {
        said.push("a learned sink per head".into());
    }
    let [heads, rows] = spec.only_or_all();
    let stage = spec.scores.map(|stage| match stage {
        ScoreStage::Scaled => "scaled scores",
        ScoreStage::Capped => "capped scores",
        ScoreStage::Masked => "masked scores",
    });
    for what in spec.weights.then_some("weights").into_iter().chain(stage) {
        said.push(format!("{what} of heads {}..{}, rows {}..{}", heads.start, heads.end, rows.start, rows.end));
    }
    said
}

fn mask_in_words(spec: &Spec) -> String {
    let device = spec.has_lengths() && spec.align == Some(Align::End);
    let (band, own) = if device { (spec.mask.band(0), "its own") } else { (spec.band(), "i") };
    let key = |distance: i64| match distance {
        0 => own.to_string(),
        1.. => format!("{own} + {distance}"),
        _ => format!("{own} - {}", distance.unsigned_abs()),
    };
    let (from, to) = (key(band.lo.into()), key(band.hi.into()));
    let sees = match (band.lo > Band::FULL.lo, band.hi < Band::FULL.hi) {
        (false, false) => return "every query sees every key".into(),
        (false, true) => format!("query i sees the keys up to {to}"),
        (true, false) => format!("query i sees the keys from {from} on"),
        (true, true) => format!("query i sees the keys from {from} to {to}"),
    };
    if device { format!("{sees}; the last query stands at the last key") } else { sees }
}

fn kernel_in_words(f: &mut Formatter<'_>, kernel: &Kernel, index: usize, planned: &Planned) -> fmt::Result {
    let shader = kernel.shader();
    let tile = shader.workgroup();
    let Workgroup { invocations, bytes, rows, keys, grouped } = tile;
    writeln!(f, "kernel      {}: {}", shader.name(), shader.loads())?;
    writeln!(
        f,
        "            {invocations} invocations, {bytes} of {} bytes of workgroup memory",
        planned.caps.workgroup_bytes
    )?;
    // Tiles of pairs have the forward kernels, and those that write scores.
    let spec = match &planned.problem {
        Problem::Attention(spec) => Some(spec),
        Problem::Measures(measures) => matches!(kernel, Kernel::Forward(_)).then(|| measures.spec()),
        Problem::Rope(_) | Problem::Merge(_) | Problem::Divergence(_) | Problem::Locate(_) => None,
        Problem::Linear(_) | Problem::Norm(_) | Problem::Embed(_) => None,
    };
    let Some(spec) = spec else { return Ok(()) };
    if rows == 0 || matches!(kernel, Kernel::Classify(_)) {
        return Ok(());
    }
    let steps = planned.program.steps.iter().filter(|step| planned.program.groups[step.group].kernel == index);
    let raw = matches!(kernel, Kernel::Scores(scores) if matches!(scores.stage(), Some(ScoreStage::Scaled | ScoreStage::Capped)));
    let (seen, all) =
        steps.map(|step| tiles(spec, &step.params, tile, raw)).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    let of = if grouped { " of all heads that share keys" } else { "" };
    let of_pairs = format!("of {}{of} x {}", count(rows, "query", "queries"), count(keys, "key", "keys"));
    let skipped = format!("{} skipped", count(all - seen, "more is", "more are"));
    match (spec.has_lengths(), spec.is_masked() && !raw) {
        (true, _) => writeln!(
            f,
            "            at most {} {of_pairs}; the device skips those without a pair that is seen",
            count(all, "tile", "tiles")
        ),
        (false, true) => writeln!(
            f,
            "            {} {of_pairs}; {skipped}, and those in which a mask in memory hides every pair",
            count(seen, "tile", "tiles")
        ),
        (false, false) if seen < all => {
            writeln!(f, "            {} {of_pairs}; {skipped}", count(seen, "tile", "tiles"))
        }
        (false, false) => writeln!(f, "            {} {of_pairs}", count(all, "tile", "tiles")),
    }
}

/// Tiles of a dispatch that some query sees, and all of them; the lengths are those of the problem. Work items that share the
/// keys of a block count as one.
fn tiles(spec: &Spec, params: &Params, tile: Workgroup, raw: bool) -> (u64, u64) {
    let band = if raw { Band::FULL } else { spec.band() };
    let range = params.key0..params.key_end;
    let clamp = |key: u32| key.clamp(range.start, range.end);
    let all = u64::from((range.end - range.start).div_ceil(tile.keys));
    let visited = |block: u64| {
        let Some(rows) = rows_of(params, tile, block) else { return 0 };
        let (seen, seen_last) = (band.keys(rows.start, spec.shape.kv_len), band.keys(rows.end - 1, spec.shape.kv_len));
        let near = spec.grid.filter(|_| !raw).map_or(range.clone(), |grid| grid.keys(rows));
        let first = (clamp(seen.start.max(near.start)) - range.start) / tile.keys;
        u64::from((clamp(seen_last.end.min(near.end)) - range.start).div_ceil(tile.keys).saturating_sub(first))
    };
    let splits = u64::from(params.splits);
    let items = u64::from(params.first).div_ceil(splits)..u64::from(params.end).div_ceil(splits);
    if spec.has_lengths() || (band == Band::FULL && (raw || spec.grid.is_none())) {
        // Nothing is known to be skipped: there may be a block for each of 2^29 sequences, too many to look at.
        return ((items.end - items.start) * all, (items.end - items.start) * all);
    }
    let blocks = u64::from(params.blocks);
    // Whole heads have the same tiles; what is left of the first and the last is counted block by block.
    let of_head: u64 = if blocks <= items.end - items.start { (0..blocks).map(visited).sum() } else { 0 };
    let (mut at, mut seen) = (items.start, 0);
    while at < items.end {
        if at % blocks == 0 && at + blocks <= items.end {
            let heads = (items.end - at) / blocks;
            seen += heads * of_head;
            at += heads * blocks;
        } else {
            seen += visited(at % blocks);
            at += 1;
        }
    }
    (seen, (items.end - items.start) * all)
}

/// The query rows of a block; `None` for one that only packed sequences may need.
fn rows_of(params: &Params, tile: Workgroup, block: u64) -> Option<Range<u32>> {
    let n = u64::from(params.row_end - params.row0);
    let (first, group) = (block * u64::from(tile.rows), if tile.grouped { params.group } else { 1 });
    let end = (first + u64::from(tile.rows)).min(n * u64::from(group));
    if first >= end {
        return None;
    }
    let one_head = first / n == (end - 1) / n;
    let (from, to) = if one_head { (first % n, (end - 1) % n + 1) } else { (0, n) };
    Some(params.row0 + from as u32..params.row0 + to as u32)
}
