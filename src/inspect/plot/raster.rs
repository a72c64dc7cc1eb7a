//! Figures as pixels.

use std::sync::{Arc, LazyLock};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb},
};

use crate::{error::Error, inspect::plot::figure::Figure};

/// Scripts that the shipped font lacks are drawn with the system's fonts.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_source(fontdb::Source::Binary(Arc::new(dejavu::sans::regular())));
    fonts.load_system_fonts();
    Arc::new(fonts)
});

impl Figure {
    /// As a PNG file (feature `png`).
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        let refused = |because: String| Error::Picture { because };
        let options = Options { fontdb: FONTS.clone(), ..Options::default() };
        let tree = Tree::from_str(self.svg(), &options).map_err(|error| refused(error.to_string()))?;
        let size = tree.size().to_int_size();
        let pixels = Pixmap::new(size.width(), size.height());
        let mut pixels =
            pixels.ok_or_else(|| refused(format!("{} x {} pixels are too many", size.width(), size.height())))?;
        resvg::render(&tree, Transform::default(), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| refused(error.to_string()))
    }
}
