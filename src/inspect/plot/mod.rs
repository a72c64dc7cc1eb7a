//! Pictures of where a model looks: heat maps, overlays on an image, as SVG, and a page to explore (feature `plot`); as PNG
//! too (feature `png`).
//!
//! ```
//! use wgpu_attention::inspect::plot::{Figure, HeatMap};
//! let tokens = ["a", "cat", "sat"];
//! let weights = [1.0, 0.0, 0.0, 0.6, 0.4, 0.0, 0.1, 0.7, 0.2];
//! let map = HeatMap::new(&tokens, &tokens, &weights)?.title("layer 0, head 0");
//! let figure = Figure::new("a cat sat", &[map.into()], 1)?;
//! assert!(figure.svg().starts_with("<svg"));
//! # Ok::<(), wgpu_attention::Error>(())
//! ```

mod drawing;
mod figure;
mod heat_map;
mod opening;
mod overlay;
mod page;
#[cfg(feature = "png")]
mod raster;
mod special;

pub use crate::inspect::plot::{
    figure::{Figure, Panel},
    heat_map::HeatMap,
    overlay::Overlay,
    page::Page,
    special::is_special,
};
