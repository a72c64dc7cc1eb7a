//! Weights over the image whose patches they belong to.

use std::borrow::Cow;

use svg::node::element::Group;

use crate::{
    error::Error,
    inspect::{
        patches::PatchRegions,
        plot::drawing::{Drawn, GAP, Label, Scale, data_address, image, rectangle},
    },
};

/// How much of the image the largest weight hides: what lies under it stays to be seen.
const COVER: f32 = 0.8;

/// What a query sees of an image: the weight of each patch as colour over it, which covers the more the larger the weight is. The
/// least weight leaves the image as it is, unless it is the largest too.
#[derive(Clone, Debug)]
#[must_use]
pub struct Overlay<'a> {
    title: Cow<'a, str>,
    address: String,
    grid: PatchRegions,
    weights: &'a [f32],
    query: Option<[u32; 2]>,
    largest: Option<f32>,
}

impl<'a> Overlay<'a> {
    /// Over an image, a PNG or JPEG file, that the grid divides; `weights` are those of its patches, row by row
    /// ([`PatchRegions::seen`]). Refused: another number of weights, another kind of image.
    pub fn new(image: &[u8], grid: PatchRegions, weights: &'a [f32]) -> Result<Self, Error> {
        let (got, needs) = (weights.len(), grid.patches() as usize);
        if got != needs {
            return Err(Error::Input { name: "weights", got, needs });
        }
        Ok(Self { title: Cow::Borrowed(""), address: data_address(image)?, grid, weights, query: None, largest: None })
    }

    /// What stands above it.
    pub fn title(mut self, title: impl Into<Cow<'a, str>>) -> Self {
        self.title = title.into();
        self
    }

    /// The patch that looks, by column and row: it gets a frame.
    pub fn query(mut self, x: u32, y: u32) -> Self {
        self.query = Some([x, y]);
        self
    }

    /// The weight that has the brightest colour: by default the largest of these.
    pub fn largest(mut self, weight: f32) -> Self {
        self.largest = Some(weight);
        self
    }

    pub(super) fn longer_side(&self) -> usize {
        let [columns, rows] = self.grid.size();
        columns.max(rows) as usize
    }

    /// The origin is the upper left corner of the image.
    pub(super) fn draw(&self, cell: f32) -> Drawn {
        let [columns, rows] = self.grid.size();
        let (width, height) = (columns as f32 * cell, rows as f32 * cell);
        let scale = Scale::of(self.weights, self.largest, false);
        let finite = self.weights.iter().copied().filter(|weight| weight.is_finite());
        let least = scale.share(finite.fold(f32::INFINITY, f32::min));
        let cover = |share: f32| if least < 1.0 { COVER * ((share - least) / (1.0 - least)).max(0.0) } else { COVER };
        let bar = scale.bar(height.clamp(60.0, 640.0), 13.0, cover);
        let frame = Drawn::new().rectangle([0.0, 0.0], [width, height], "white").with(bar, width + GAP, 0.0);
        let title = Label::new(&self.title, 0.0, -GAP, 16.0);
        let frame = if self.title.is_empty() { frame } else { frame.label(&title) };
        let mut patches = Group::new().set("shape-rendering", "crispEdges");
        for (patch, &weight) in (0..).zip(self.weights) {
            let (x, y) = ((patch % columns) as f32 * cell, (patch / columns) as f32 * cell);
            let (colour, share) = (scale.colour(weight), scale.share(weight));
            let square = rectangle(x, y, cell, cell).set("fill", format!("#{colour:x}"));
            patches = patches.add(square.set("fill-opacity", if weight.is_finite() { cover(share) } else { COVER }));
        }
        let drawn = frame.inside(image(&self.address, width, height)).inside(patches);
        let Some([x, y]) = self.query else { return drawn };
        // White inside black, so that it stands out from any image.
        let mark = |colour: &str, line: f32| {
            let square = rectangle(x as f32 * cell, y as f32 * cell, cell, cell);
            square.set("fill", "none").set("stroke", colour).set("stroke-width", line)
        };
        drawn.inside(mark("black", 5.0)).inside(mark("white", 2.0))
    }
}
