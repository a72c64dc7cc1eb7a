//! Panels beside each other, under a title.

use svg::node::element::Group;

use crate::{
    error::Error,
    inspect::plot::{
        drawing::{self, Drawn, Label, PAD},
        heat_map::HeatMap,
        overlay::Overlay,
    },
};

/// What all panels beside each other may take for their cells, in pixels.
const CELLS_WIDTH: f32 = 1600.0;

/// One part of a figure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Panel<'a> {
    /// Weights as a map.
    HeatMap(HeatMap<'a>),
    /// Weights over an image.
    Overlay(Overlay<'a>),
}

impl<'a> From<HeatMap<'a>> for Panel<'a> {
    fn from(map: HeatMap<'a>) -> Self {
        Self::HeatMap(map)
    }
}

impl<'a> From<Overlay<'a>> for Panel<'a> {
    fn from(overlay: Overlay<'a>) -> Self {
        Self::Overlay(overlay)
    }
}

impl Panel<'_> {
    /// Cells along the longer side.
    fn cells(&self) -> usize {
        match self {
            Self::HeatMap(map) => map.longer_side(),
            Self::Overlay(overlay) => overlay.longer_side(),
        }
    }

    fn draw(&self, cell: f32) -> Result<Drawn, Error> {
        match self {
            Self::HeatMap(map) => map.draw(cell),
            Self::Overlay(overlay) => Ok(overlay.draw(cell)),
        }
    }
}

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    svg: String,
}

impl Figure {
    /// Panels under a title, which may be empty, `columns` of them beside each other: all heads of a layer, for instance. Refused: no
    /// panels.
    pub fn new(title: &str, panels: &[Panel<'_>], columns: usize) -> Result<Self, Error> {
        if panels.is_empty() {
            return Err(Error::Picture { because: "a figure has at least one panel, and there are none".into() });
        }
        let columns = columns.clamp(1, panels.len());
        let across = columns * panels.iter().map(Panel::cells).max().unwrap_or(1).max(1);
        let cell = (CELLS_WIDTH / across as f32).floor().clamp(1.0, 40.0);
        let drawn = panels.iter().map(|panel| panel.draw(cell)).collect::<Result<Vec<_>, _>>()?;
        let size = |Drawn { bounds, .. }: &Drawn| (bounds.right - bounds.left, bounds.bottom - bounds.top);
        let (widest, highest) =
            drawn.iter().map(size).fold((0.0_f32, 0.0_f32), |most, size| (most.0.max(size.0), most.1.max(size.1)));
        let (step_x, step_y) = (widest + 2.0 * PAD, highest + PAD);

        let heading = Drawn::new().label(&Label::new(title, PAD, PAD + 22.0, 26.0));
        let (top, title_end) = if title.is_empty() { (PAD, 0.0) } else { (PAD + 48.0, heading.bounds.right + PAD) };
        let width = (columns as f32 * step_x).max(title_end).ceil();
        let height = (top + panels.len().div_ceil(columns) as f32 * step_y).ceil();
        let mut content = Group::new().add(heading.group);
        for (index, Drawn { group, bounds }) in drawn.into_iter().enumerate() {
            let x = PAD + (index % columns) as f32 * step_x - bounds.left;
            let y = top + (index / columns) as f32 * step_y - bounds.top;
            content = content.add(group.set("transform", format!("translate({} {})", x.round(), y.round())));
        }
        Ok(Self { svg: drawing::document(width, height, content).to_string() })
    }

    /// As an SVG document.
    #[must_use]
    pub fn svg(&self) -> &str {
        &self.svg
    }
}
