//! A matrix of weights as cells of colour.

use std::borrow::Cow;

use svg::node::element::{Element, Group};

use crate::{
    error::Error,
    inspect::plot::drawing::{Anchor, Drawn, GAP, Label, Scale, data_address, image, ink_on, rectangle, text},
    problem::{Problem, measures::Measures},
    tensor::Tensor,
};

/// The smallest cell beside which a label can be read, in pixels; smaller ones are drawn as an image with a few numbers beside it.
const LABELLED: f32 = 9.0;

/// The smallest cell that can hold a number.
const NUMBERED: f32 = 32.0;

/// The colour of what explains.
const SUBDUED: &str = "#555555";

/// Measures were given to draw a map of, and none was asked for.
pub(super) fn no_map() -> Error {
    Error::Picture { because: "these measures have no map: ask for one with Measures::map".into() }
}

/// What stands along one side of a map.
#[derive(Clone, Debug)]
enum Axis<'a> {
    Labels(Vec<&'a str>),
    /// Cells over tokens.
    Cells {
        count: usize,
        first: u32,
        end: u32,
    },
}

impl Axis<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Labels(labels) => labels.len(),
            Self::Cells { count, .. } => *count,
        }
    }

    /// Numbers and where they stand, in shares of the side: a few, at multiples of a power of two.
    fn ticks(&self) -> Vec<(f32, String)> {
        let (first, end) = match self {
            Self::Labels(labels) => (0, labels.len() as u32),
            &Self::Cells { first, end, .. } => (first, end),
        };
        let step = 1 << ((end - first) / 3).max(1).ilog2();
        let at = |token: u32| (f64::from(token - first) / f64::from((end - first).max(1))) as f32;
        (first.next_multiple_of(step)..end).step_by(step as usize).map(|token| (at(token), token.to_string())).collect()
    }
}

/// A picture of attention weights: a row for each query, a column for each key.
#[derive(Clone, Debug)]
#[must_use]
pub struct HeatMap<'a> {
    title: Cow<'a, str>,
    rows: Axis<'a>,
    columns: Axis<'a>,
    weights: Cow<'a, [f32]>,
    /// The tokens of the rows and columns that are not shown, each once.
    left_out: Vec<&'a str>,
    largest: Option<f32>,
    logarithmic: bool,
}

impl<'a> HeatMap<'a> {
    /// Of `weights [rows, columns]`, with a label for each row and each column; refused if their number differs. A weight that is not
    /// finite is drawn grey.
    pub fn new(rows: &'a [impl AsRef<str>], columns: &'a [impl AsRef<str>], weights: &'a [f32]) -> Result<Self, Error> {
        let rows = rows.iter().map(AsRef::as_ref).collect();
        let columns = columns.iter().map(AsRef::as_ref).collect();
        Self::with_axes(Axis::Labels(rows), Axis::Labels(columns), weights)
    }

    /// Of one map `[rows, columns]` of [`Measures::map`], with the numbers of tokens along its sides.
    pub fn pooled(measures: &Measures, weights: &'a [f32]) -> Result<Self, Error> {
        Problem::from(measures).check()?;
        let view = measures.view(Tensor::Map).ok_or_else(no_map)?;
        let [_, _, rows, columns] = view.sizes;
        let [_, tokens] = measures.spec().only_or_all();
        let rows = Axis::Cells { count: rows as usize, first: tokens.start, end: tokens.end };
        let end = measures.spec().shape().kv_len;
        Self::with_axes(rows, Axis::Cells { count: columns as usize, first: 0, end }, weights)
    }

    fn with_axes(rows: Axis<'a>, columns: Axis<'a>, weights: &'a [f32]) -> Result<Self, Error> {
        let (got, needs) = (weights.len(), rows.len() * columns.len());
        if got != needs {
            return Err(Error::Input { name: "weights", got, needs });
        }
        let (title, weights) = (Cow::Borrowed(""), Cow::Borrowed(weights));
        Ok(Self { title, rows, columns, weights, left_out: Vec::new(), largest: None, logarithmic: false })
    }

    /// Leaves out the rows and the columns of these tokens, and names them under the map. The weights of the other tokens stay as
    /// they are: they are not scaled up, so a row shown may sum to less than 1. The colours go up to the largest weight that is
    /// left. A pooled map, whose cells cover many tokens, stays whole.
    ///
    /// ```
    /// use wgpu_attention::inspect::plot::{Figure, HeatMap, is_special};
    /// let tokens = ["[CLS]", "cat"];
    /// let map = HeatMap::new(&tokens, &tokens, &[0.9, 0.1, 0.8, 0.2])?.without(is_special);
    /// assert!(Figure::new("", &[map.into()], 1)?.svg().contains("without [CLS]; other weights unchanged"));
    /// # Ok::<(), wgpu_attention::Error>(())
    /// ```
    pub fn without(mut self, is_left_out: impl Fn(&str) -> bool) -> Self {
        let (Axis::Labels(rows), Axis::Labels(columns)) = (&mut self.rows, &mut self.columns) else { return self };
        let cells = rows.iter().flat_map(|row| columns.iter().map(move |column| [*row, *column]));
        let kept = cells.zip(self.weights.iter()).filter(|(cell, _)| !cell.iter().any(|token| is_left_out(token)));
        self.weights = kept.map(|(_, &weight)| weight).collect();
        for token in rows.iter().chain(columns.iter()).filter(|token| is_left_out(token)) {
            if !self.left_out.contains(token) {
                self.left_out.push(token);
            }
        }
        rows.retain(|token| !is_left_out(token));
        columns.retain(|token| !is_left_out(token));
        self
    }

    /// What stands above it.
    pub fn title(mut self, title: impl Into<Cow<'a, str>>) -> Self {
        self.title = title.into();
        self
    }

    /// The weight that has the brightest colour, so that maps can be compared: by default the largest of this map.
    pub fn largest(mut self, weight: f32) -> Self {
        self.largest = Some(weight);
        self
    }

    /// Colours go with the logarithm, over six decades: for long maps, whose weights fall by powers.
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    pub(super) fn longer_side(&self) -> usize {
        self.rows.len().max(self.columns.len())
    }

    /// The origin is the upper left corner of the cells.
    pub(super) fn draw(&self, cell: f32) -> Result<Drawn, Error> {
        let (width, height) = (self.columns.len() as f32 * cell, self.rows.len() as f32 * cell);
        let labelled = matches!((&self.rows, &self.columns), (Axis::Labels(_), Axis::Labels(_))) && cell >= LABELLED;
        let size = if labelled { (0.7 * cell).min(15.0) } else { 13.0 };
        let scale = Scale::of(&self.weights, self.largest, self.logarithmic);
        let bar = scale.bar(height.clamp(4.0 * size, 640.0), size, |_| 1.0);
        let sides = if labelled { self.labels(cell, size) } else { self.ticks(width, height, size) };
        let frame = sides.rectangle([0.0, 0.0], [width, height], "white").with(bar, width + 2.0 * GAP, 0.0);
        let (left, top) = (frame.bounds.left - 12.0, frame.bounds.top - GAP);
        let name = |text, x, y, degrees| Label {
            anchor: Anchor::Middle,
            degrees,
            colour: SUBDUED,
            ..Label::new(text, x, y, 15.0)
        };
        let frame = frame.label(&name("key", width / 2.0, top, 0.0)).label(&name("query", left, height / 2.0, -90.0));
        let title = Label::new(&self.title, left - 12.0, top - 30.0, 20.0);
        let frame = if self.title.is_empty() { frame } else { frame.label(&title) };
        let note = self.left_out_note();
        let note = Label { colour: SUBDUED, ..Label::new(&note, 0.0, height + GAP + 13.0, 13.0) };
        let frame = if self.left_out.is_empty() { frame } else { frame.label(&note) };
        Ok(if labelled { frame.inside(self.cells(scale, cell)) } else { frame.inside(self.image(scale, cell)?) })
    }

    /// Says under the map what is not in it.
    fn left_out_note(&self) -> String {
        const MOST: usize = 3;
        let named = self.left_out[..self.left_out.len().min(MOST)].join(", ");
        let more = self.left_out.len().saturating_sub(MOST);
        let named = if more == 0 { named } else { format!("{named} and {more} more") };
        format!("without {named}; other weights unchanged")
    }

    fn cells(&self, scale: Scale, cell: f32) -> Group {
        let mut group = Group::new().set("shape-rendering", "crispEdges").set("text-anchor", "middle");
        for (index, &weight) in self.weights.iter().enumerate() {
            let x = (index % self.columns.len()) as f32 * cell;
            let y = (index / self.columns.len()) as f32 * cell;
            let colour = scale.colour(weight);
            // The pixel left white on two sides is the grid.
            group = group.add(rectangle(x, y, cell - 1.0, cell - 1.0).set("fill", format!("#{colour:x}")));
            if cell >= NUMBERED && weight > 0.1 {
                let (x, y) = (x + cell / 2.0 - 0.5, y + cell * 0.6);
                let number = text(&format!("{weight:.2}"), x, y, cell * 0.3);
                group = group.add(number.set("fill", ink_on(colour)));
            }
        }
        group
    }

    /// A pixel for each cell.
    fn image(&self, scale: Scale, cell: f32) -> Result<Element, Error> {
        let (width, height) = (self.columns.len() as u32, self.rows.len() as u32);
        let colours = self.weights.iter().map(|&weight| scale.colour(weight));
        let pixels: Vec<u8> = colours.flat_map(|colour| [colour.r, colour.g, colour.b]).collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
        written.map_err(|error| Error::Picture { because: format!("{width} x {height} cells: {error}") })?;
        let mut image = image(&data_address(&file)?, width as f32 * cell, height as f32 * cell);
        svg::Node::assign(&mut image, "style", "image-rendering: pixelated");
        Ok(image)
    }

    fn labels(&self, cell: f32, size: f32) -> Drawn {
        let mut drawn = Drawn::new();
        let (Axis::Labels(rows), Axis::Labels(columns)) = (&self.rows, &self.columns) else { return drawn };
        for (row, label) in rows.iter().enumerate() {
            let y = (row as f32 + 0.5) * cell + size * 0.35;
            drawn = drawn.label(&Label { anchor: Anchor::End, ..Label::new(label, -GAP, y, size) });
        }
        for (column, label) in columns.iter().enumerate() {
            let x = (column as f32 + 0.5) * cell + size * 0.25;
            drawn = drawn.label(&Label { degrees: -45.0, ..Label::new(label, x, -GAP, size) });
        }
        drawn
    }

    fn ticks(&self, width: f32, height: f32, size: f32) -> Drawn {
        let mut drawn = Drawn::new();
        for (at, label) in self.rows.ticks() {
            let y = at * height;
            let label = Label { anchor: Anchor::End, ..Label::new(&label, -GAP - 2.0, y + size * 0.35, size) };
            drawn = drawn.rectangle([-GAP + 2.0, y], [GAP - 2.0, 1.0], "black").label(&label);
        }
        for (at, label) in self.columns.ticks() {
            let x = at * width;
            let label = Label { anchor: Anchor::Middle, ..Label::new(&label, x, -GAP - 2.0, size) };
            drawn = drawn.rectangle([x, -GAP + 2.0], [1.0, GAP - 2.0], "black").label(&label);
        }
        drawn
    }
}
