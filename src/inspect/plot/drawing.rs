//! What all pictures share: text and its extent, colours, images.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use colorous::{Color, GREYS, VIRIDIS};
use read_fonts::{
    FontRef, ReadError, TableProvider,
    tables::{cmap::Cmap, hmtx::Hmtx},
};
use svg::{
    Document, Node,
    node::element::{Element, Group, Rectangle, Text},
};

use crate::error::Error;

/// What is drawn with is shipped; what a reader of the SVG may not have has stand-ins.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";

pub(super) const PAD: f32 = 16.0;
pub(super) const GAP: f32 = 8.0;

/// How far letters reach above and below their line, in shares of the font's size.
const ABOVE: f32 = 0.76;
const BELOW: f32 = 0.24;

/// The widths of the font's letters; `None` if it cannot be read.
static WIDTHS: LazyLock<Option<Widths<'static>>> = LazyLock::new(|| Widths::of(dejavu::sans::regular()).ok());

struct Widths<'a> {
    glyphs: Cmap<'a>,
    advances: Hmtx<'a>,
    em: f32,
}

impl<'a> Widths<'a> {
    fn of(font: &'a [u8]) -> Result<Self, ReadError> {
        let font = FontRef::new(font)?;
        Ok(Self { glyphs: font.cmap()?, advances: font.hmtx()?, em: font.head()?.units_per_em().into() })
    }

    /// Of a letter of size 1; `None` if the font lacks it.
    fn width(&self, letter: char) -> Option<f32> {
        let advance = self.advances.advance(self.glyphs.map_codepoint(letter)?)?;
        Some(f32::from(advance) / self.em)
    }
}

/// How long a text of size 1 is. A letter that the font lacks counts as a square.
fn length(text: &str) -> f32 {
    let Some(widths) = &*WIDTHS else { return 0.6 * text.chars().count() as f32 };
    text.chars().map(|letter| widths.width(letter).unwrap_or(1.0)).sum()
}

/// A box around something drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

impl Bounds {
    /// Around nothing: whatever is added is the box.
    const NONE: Self =
        Self { left: f32::INFINITY, top: f32::INFINITY, right: f32::NEG_INFINITY, bottom: f32::NEG_INFINITY };

    fn with(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    fn moved(self, x: f32, y: f32) -> Self {
        Self { left: self.left + x, top: self.top + y, right: self.right + x, bottom: self.bottom + y }
    }
}

/// Where along a text its place is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text at a place, around which it may be turned.
#[derive(Clone, Debug)]
pub(super) struct Label<'a> {
    pub(super) text: &'a str,
    pub(super) at: [f32; 2],
    pub(super) size: f32,
    pub(super) anchor: Anchor,
    /// Clockwise.
    pub(super) degrees: f32,
    pub(super) colour: &'static str,
}

impl<'a> Label<'a> {
    /// Black, level, and starting at a place.
    pub(super) fn new(text: &'a str, x: f32, y: f32, size: f32) -> Self {
        Self { text, at: [x, y], size, anchor: Anchor::Start, degrees: 0.0, colour: "black" }
    }

    fn bounds(&self) -> Bounds {
        let length = self.size * length(self.text);
        let start = match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -length / 2.0,
            Anchor::End => -length,
        };
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let corner = |(x, y): (f32, f32)| [cos * x - sin * y, sin * x + cos * y];
        let (above, below) = (-ABOVE * self.size, BELOW * self.size);
        let ends = [start, start + length];
        let corners = ends.into_iter().flat_map(|x| [(x, above), (x, below)]).map(corner);
        let point = |[x, y]: [f32; 2]| Bounds { left: x, top: y, right: x, bottom: y };
        corners.map(point).fold(Bounds::NONE, Bounds::with).moved(self.at[0], self.at[1])
    }

    fn draw(&self) -> Text {
        let [x, y] = self.at;
        let anchor = match self.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text(self.text, x, y, self.size).set("text-anchor", anchor).set("fill", self.colour);
        if self.degrees == 0.0 { text } else { text.set("transform", format!("rotate({} {x} {y})", self.degrees)) }
    }
}

/// What is drawn, and the box around as much of it as was measured.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) group: Group,
    pub(super) bounds: Bounds,
}

impl Drawn {
    pub(super) fn new() -> Self {
        Self { group: Group::new(), bounds: Bounds::NONE }
    }

    pub(super) fn label(self, label: &Label<'_>) -> Self {
        Self { group: self.group.add(label.draw()), bounds: self.bounds.with(label.bounds()) }
    }

    pub(super) fn rectangle(self, [x, y]: [f32; 2], [width, height]: [f32; 2], colour: &str) -> Self {
        let bounds = Bounds { left: x, top: y, right: x + width, bottom: y + height };
        let drawn = rectangle(x, y, width, height).set("fill", colour);
        Self { group: self.group.add(drawn), bounds: self.bounds.with(bounds) }
    }

    /// With another drawing, moved.
    pub(super) fn with(self, other: Self, x: f32, y: f32) -> Self {
        let moved = other.group.set("transform", format!("translate({x} {y})"));
        Self { group: self.group.add(moved), bounds: self.bounds.with(other.bounds.moved(x, y)) }
    }

    /// With what lies inside its box.
    pub(super) fn inside(self, node: impl Into<Box<dyn Node>>) -> Self {
        Self { group: self.group.add(node), ..self }
    }
}

/// How weights become colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// The weight of the brightest colour.
    pub(super) largest: f32,
    /// Six decades instead of from 0 on.
    pub(super) logarithmic: bool,
}

impl Scale {
    /// From 0 to the largest finite one of these weights, or to another.
    pub(super) fn of(weights: &[f32], largest: Option<f32>, logarithmic: bool) -> Self {
        let finite = weights.iter().copied().filter(|weight| weight.is_finite());
        Self { largest: largest.unwrap_or_else(|| finite.fold(0.0, f32::max)), logarithmic }
    }

    /// Of a weight; grey where it is not finite.
    pub(super) fn colour(self, weight: f32) -> Color {
        if !weight.is_finite() {
            return GREYS.eval_continuous(0.4);
        }
        VIRIDIS.eval_continuous(self.share(weight).into())
    }

    /// How far up the bar a weight is, from 0 to 1.
    pub(super) fn share(self, weight: f32) -> f32 {
        let share = weight.max(0.0) / self.largest.max(f32::MIN_POSITIVE);
        let share = if self.logarithmic { 1.0 + share.max(1e-6).log10() / 6.0 } else { share };
        share.clamp(0.0, 1.0)
    }

    /// A bar of all colours, each as opaque as it is in the picture, beside numbers: 16 wide before the text.
    pub(super) fn bar(self, height: f32, size: f32, opacity: impl Fn(f32) -> f32) -> Drawn {
        const SLICES: u8 = 100;
        let slice = height / f32::from(SLICES);
        let mut bar = Group::new().set("shape-rendering", "crispEdges");
        for index in 0..SLICES {
            let share = f32::from(SLICES - 1 - index) / f32::from(SLICES - 1);
            let colour = VIRIDIS.eval_continuous(share.into());
            let step = rectangle(0.0, f32::from(index) * slice, 16.0, slice).set("fill", format!("#{colour:x}"));
            bar = bar.add(step.set("fill-opacity", opacity(share)));
        }
        let least = if self.logarithmic { format!("{:.0e} or less", self.largest * 1e-6) } else { "0".into() };
        let bounds = Bounds { left: 0.0, top: 0.0, right: 16.0, bottom: height };
        let most = number(self.largest);
        let drawn = Drawn { group: Group::new().add(bar), bounds };
        drawn.label(&Label::new(&most, 22.0, size * 0.75, size)).label(&Label::new(&least, 22.0, height, size))
    }
}

/// A weight in few characters; sums over many rows are above 1.
pub(super) fn number(weight: f32) -> String {
    if weight >= 100.0 { format!("{weight:.0}") } else { format!("{weight:.3}") }
}

/// Black or white, whichever is easier to read on the colour.
pub(super) fn ink_on(Color { r, g, b }: Color) -> &'static str {
    let luma = 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
    if luma > 125.0 { "black" } else { "white" }
}

/// A text; characters that no XML document may hold are drawn as the replacement character.
pub(super) fn text(content: &str, x: f32, y: f32, size: f32) -> Text {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let content: String = content.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect();
    Text::new(content).set("x", x).set("y", y).set("font-size", size)
}

pub(super) fn rectangle(x: f32, y: f32, width: f32, height: f32) -> Rectangle {
    Rectangle::new().set("x", x).set("y", y).set("width", width).set("height", height)
}

pub(super) fn image(address: &str, width: f32, height: f32) -> Element {
    let mut image = Element::new("image");
    image.assign("href", address);
    image.assign("width", width);
    image.assign("height", height);
    image.assign("preserveAspectRatio", "none");
    image
}

/// The address of an image that carries the image itself: PNG or JPEG.
pub(super) fn data_address(image: &[u8]) -> Result<String, Error> {
    let kind = match image {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        _ => return Err(Error::Picture { because: "the image is neither PNG nor JPEG".into() }),
    };
    Ok(format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(image)))
}

/// A document of this size that holds this.
pub(super) fn document(width: f32, height: f32, content: Group) -> Document {
    let document = Document::new().set("width", width).set("height", height).set("viewBox", (0, 0, width, height));
    let document = document.set("font-family", FONT);
    document.add(rectangle(0.0, 0.0, width, height).set("fill", "white")).add(content)
}
