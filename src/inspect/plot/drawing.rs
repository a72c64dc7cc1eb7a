//! What all pictures share: text and its extent, colours, images.

use std::sync::{Arc, LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use colorous::{Color, GREYS, VIRIDIS};
use resvg::{
    tiny_skia,
    usvg::{self, fontdb},
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

/// What is drawn of a panel, and the box around it.
pub(super) type Drawn = (Group, usvg::Rect);

/// Scripts that the shipped font lacks are drawn with the system's fonts.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_source(fontdb::Source::Binary(Arc::new(dejavu::sans::regular())));
    fonts.load_system_fonts();
    Arc::new(fonts)
});

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
    pub(super) fn bar(self, height: f32, size: f32, opacity: impl Fn(f32) -> f32) -> Group {
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
        bar.add(text(&number(self.largest), 22.0, size * 0.75, size)).add(text(&least, 22.0, height, size))
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

pub(super) fn text(content: &str, x: f32, y: f32, size: f32) -> Text {
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
    let document = Document::new().set("width", width).set("height", height).set("font-family", FONT);
    document.add(rectangle(0.0, 0.0, width, height).set("fill", "white")).add(content)
}

pub(super) fn parse(svg: &str) -> Result<usvg::Tree, Error> {
    let options = usvg::Options { fontdb: FONTS.clone(), ..usvg::Options::default() };
    usvg::Tree::from_str(svg, &options).map_err(|error| Error::Picture { because: error.to_string() })
}

/// The box around what is drawn.
pub(super) fn bounds(group: &Group) -> Result<usvg::Rect, Error> {
    let document = Document::new().set("width", 1).set("height", 1).set("font-family", FONT).add(group.clone());
    Ok(parse(&document.to_string())?.root().bounding_box())
}

pub(super) fn pixels(width: u32, height: u32) -> Result<tiny_skia::Pixmap, Error> {
    let because = || format!("{width} x {height} pixels are too many, or none");
    tiny_skia::Pixmap::new(width, height).ok_or_else(|| Error::Picture { because: because() })
}

pub(super) fn encode(pixels: &tiny_skia::Pixmap) -> Result<Vec<u8>, Error> {
    pixels.encode_png().map_err(|error| Error::Picture { because: error.to_string() })
}
