//! Draws attention weights as a labelled heat map, as SVG or as PNG.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::{error::Error, path::Path, sync::Arc};

use colorous::{Color, GREYS, VIRIDIS};
use resvg::{tiny_skia, usvg};
use svg::Document;
use svg::node::element::{Group, Rectangle, Text};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const PAD: f32 = 16.0;
const GAP: f32 = 8.0;
/// What the cells of all the maps beside each other may take, in pixels.
const CELLS_WIDTH: f32 = 1600.0;

/// A picture of attention weights: one row per query, one column per key.
pub(crate) struct HeatMap<'a> {
    /// Stands above the map.
    pub title: &'a str,
    /// One label per query.
    pub rows: &'a [String],
    /// One label per key.
    pub columns: &'a [String],
    /// Row-major, `rows.len()` x `columns.len()`; what is not finite is drawn grey.
    pub weights: &'a [f32],
}

impl HeatMap<'_> {
    /// The picture as an SVG document; an error unless there is one weight per cell.
    pub(crate) fn svg(&self) -> Result<String> {
        page("", std::slice::from_ref(self), 1)
    }

    /// Writes the picture as a PNG file.
    pub(crate) fn write_png(&self, path: &Path) -> Result<()> {
        rasterise(&self.svg()?, path)
    }

    /// The map with all that stands around it, and the bounds of that; the origin is the
    /// upper left corner of the cells.
    fn draw(&self, cell: f32, fonts: &usvg::Options) -> Result<(Group, usvg::Rect)> {
        let (rows, columns, given) = (self.rows.len(), self.columns.len(), self.weights.len());
        if given != rows * columns {
            return Err(format!("{given} weights for {rows} x {columns} cells").into());
        }
        let finite = self.weights.iter().filter(|weight| weight.is_finite());
        let max = finite.fold(0.0_f32, |max, &weight| max.max(weight));
        let (width, height) = (columns as f32 * cell, rows as f32 * cell);
        let size = (0.7 * cell).min(15.0);

        let bar = colour_bar(max, height.clamp(4.0 * size, 640.0), size);
        let bar = bar.set("transform", format!("translate({} 0)", width + 2.0 * GAP));
        let white = rectangle(0.0, 0.0, width, height).set("fill", "white");
        let frame = self.labels(cell, size).add(white).add(bar);
        let inner = bounds(&frame, fonts)?;
        let (left, top) = (inner.left() - 12.0, inner.top() - GAP);
        let key = text("key", width / 2.0, top, 15.0);
        let query = text("query", left, height / 2.0, 15.0);
        let query = query.set("transform", format!("rotate(-90 {left} {})", height / 2.0));
        let names = Group::new().set("text-anchor", "middle");
        let frame = frame.add(names.set("fill", "#555555").add(key).add(query)).add(text(
            self.title,
            left - 12.0,
            top - 30.0,
            20.0,
        ));
        let outer = bounds(&frame, fonts)?;
        Ok((frame.add(self.cells(max, cell)), outer))
    }

    fn cells(&self, max: f32, cell: f32) -> Group {
        let group = Group::new().set("shape-rendering", "crispEdges");
        let mut group = group.set("text-anchor", "middle");
        for (index, &weight) in self.weights.iter().enumerate() {
            let x = (index % self.columns.len()) as f32 * cell;
            let y = (index / self.columns.len()) as f32 * cell;
            let colour = colour(weight, max);
            // The pixel left white on two sides is the grid.
            let square = rectangle(x, y, cell - 1.0, cell - 1.0);
            group = group.add(square.set("fill", format!("#{colour:x}")));
            if cell >= 32.0 && weight > 0.1 {
                let (x, y) = (x + cell / 2.0 - 0.5, y + cell * 0.6);
                let number = text(&format!("{weight:.2}"), x, y, cell * 0.3);
                group = group.add(number.set("fill", ink_on(colour)));
            }
        }
        group
    }

    fn labels(&self, cell: f32, size: f32) -> Group {
        let mut group = Group::new();
        for (row, label) in self.rows.iter().enumerate() {
            let y = (row as f32 + 0.5) * cell + size * 0.35;
            group = group.add(text(label, -GAP, y, size).set("text-anchor", "end"));
        }
        for (column, label) in self.columns.iter().enumerate() {
            let x = (column as f32 + 0.5) * cell + size * 0.25;
            let turn = format!("rotate(-45 {x} {})", -GAP);
            group = group.add(text(label, x, -GAP, size).set("transform", turn));
        }
        group
    }
}

/// Writes maps as one PNG file, `columns` of them beside each other.
pub(crate) fn write_grid_png(title: &str, maps: &[HeatMap], columns: usize, path: &Path) -> Result<()> {
    rasterise(&page(title, maps, columns)?, path)
}

fn page(title: &str, maps: &[HeatMap], columns: usize) -> Result<String> {
    let fonts = fonts();
    let columns = columns.clamp(1, maps.len().max(1));
    let lengths = maps.iter().flat_map(|m| [m.rows.len(), m.columns.len()]);
    let across = columns * lengths.max().unwrap_or(1).max(1);
    let cell = (CELLS_WIDTH / across as f32).floor().clamp(16.0, 40.0);
    let drawn = maps.iter().map(|map| map.draw(cell, &fonts));
    let drawn = drawn.collect::<Result<Vec<_>>>()?;
    let (widest, highest) =
        drawn.iter().fold((0.0, 0.0), |(width, height), (_, map)| (map.width().max(width), map.height().max(height)));
    let (step_x, step_y) = (widest + 2.0 * PAD, highest + PAD);

    let heading = Group::new().add(text(title, PAD, PAD + 22.0, 26.0));
    let title_width = bounds(&heading, &fonts)?.right() + PAD;
    let top = if title.is_empty() { PAD } else { PAD + 48.0 };
    let width = (columns as f32 * step_x).max(title_width).ceil();
    let height = (top + maps.len().div_ceil(columns) as f32 * step_y).ceil();
    let white = rectangle(0.0, 0.0, width, height).set("fill", "white");
    let document = Document::new().set("width", width).set("height", height);
    let mut document = document.set("font-family", FONT).add(white).add(heading);
    for (index, (map, bounds)) in drawn.into_iter().enumerate() {
        let x = PAD + (index % columns) as f32 * step_x - bounds.left();
        let y = top + (index / columns) as f32 * step_y - bounds.top();
        let place = format!("translate({} {})", x.round(), y.round());
        document = document.add(map.set("transform", place));
    }
    Ok(document.to_string())
}

fn rasterise(svg: &str, path: &Path) -> Result<()> {
    let tree = usvg::Tree::from_str(svg, &fonts())?;
    let size = tree.size().to_int_size();
    let pixels = tiny_skia::Pixmap::new(size.width(), size.height());
    let mut pixels = pixels.ok_or("the picture is too large")?;
    resvg::render(&tree, Default::default(), &mut pixels.as_mut());
    Ok(pixels.save_png(path)?)
}

fn fonts() -> usvg::Options<'static> {
    let mut options = usvg::Options::default();
    let font = usvg::fontdb::Source::Binary(Arc::new(dejavu::sans::regular()));
    options.fontdb_mut().load_font_source(font);
    options
}

/// The box around what `usvg` lays out.
fn bounds(group: &Group, fonts: &usvg::Options) -> Result<usvg::Rect> {
    let document = Document::new().set("width", 1).set("height", 1);
    let document = document.set("font-family", FONT).add(group.clone());
    let tree = usvg::Tree::from_str(&document.to_string(), fonts)?;
    Ok(tree.root().bounding_box())
}

fn colour(weight: f32, max: f32) -> Color {
    if !weight.is_finite() {
        return GREYS.eval_continuous(0.4);
    }
    VIRIDIS.eval_continuous((weight.max(0.0) / max.max(f32::MIN_POSITIVE)).into())
}

/// Black or white, whichever is easier to read on the colour.
fn ink_on(Color { r, g, b }: Color) -> &'static str {
    let luma = 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
    if luma > 125.0 { "black" } else { "white" }
}

fn colour_bar(max: f32, height: f32, size: f32) -> Group {
    let group = Group::new().set("shape-rendering", "crispEdges");
    let slice = height / 100.0;
    let bar = (0..100_u8).fold(group, |bar, index| {
        let colour = colour(max * (f32::from(99 - index) / 99.0), max);
        let y = f32::from(index) * slice;
        bar.add(rectangle(0.0, y, 16.0, slice).set("fill", format!("#{colour:x}")))
    });
    bar.add(text(&format!("{max:.3}"), 22.0, size * 0.75, size)).add(text("0", 22.0, height, size))
}

fn text(content: &str, x: f32, y: f32, size: f32) -> Text {
    let text = Text::new(content).set("x", x).set("y", y);
    text.set("font-size", size)
}

fn rectangle(x: f32, y: f32, width: f32, height: f32) -> Rectangle {
    let corner = Rectangle::new().set("x", x).set("y", y);
    corner.set("width", width).set("height", height)
}
