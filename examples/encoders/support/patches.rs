//! An image as patches: prepared as a model wants it, cut, or described by simple features.
#![allow(dead_code, reason = "each example uses only a part of this module")]

use std::{error::Error, fs, io::Cursor, path::Path};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, imageops};
use serde_json::Value;
use wgpu_attention::inspect::PatchRegions;

use super::checkpoint::settings;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The most pixels of an image file, 8192 x 8192: its header says them before anything is decoded.
const MOST_PIXELS: u64 = 1 << 26;

/// The most pixels of a resized image, and of the one on the way that has its height and the width of the file's.
const MOST_RESIZED: u64 = 1 << 25;

/// How an image becomes the model's input, as preprocessor_config.json says.
pub(crate) struct Preparation {
    /// Pixels of the square that is left.
    side: u32,
    /// Resized to this, the shorter side if it was an edge, before the middle is cut out.
    size: Size,
    filter: imageops::FilterType,
    mean: [f32; 3],
    deviation: [f32; 3],
}

#[derive(Clone, Copy)]
enum Size {
    Exactly(u32, u32),
    ShorterSide(u32),
}

impl Default for Preparation {
    /// 224 x 224, -1 to 1.
    fn default() -> Self {
        let filter = imageops::FilterType::Triangle;
        Self { side: 224, size: Size::ShorterSide(224), filter, mean: [0.5; 3], deviation: [0.5; 3] }
    }
}

impl Preparation {
    /// Of a model folder, for a model that takes images of `side` x `side` pixels.
    pub(crate) fn read(folder: &Path, side: u32) -> Result<Self> {
        let path = folder.join("preprocessor_config.json");
        Self::parse(&path, fs::read(&path).ok().as_deref(), side)
    }

    /// Of the settings in a file, if there is one.
    pub(crate) fn parse(path: &Path, file: Option<&[u8]>, side: u32) -> Result<Self> {
        let config = file.map_or(Ok(Value::Null), |file| settings(path, file))?;
        let number = |value: &Value| value.as_u64().filter(|size| (1..=8192).contains(size)).map(|size| size as u32);
        let size = &config["size"];
        let size = match (number(&size["height"]), number(&size["width"]), number(&size["shortest_edge"]), number(size))
        {
            (Some(height), Some(width), ..) => Size::Exactly(width, height),
            (_, _, Some(edge), _) => Size::ShorterSide(edge),
            (.., Some(edge)) => Size::Exactly(edge, edge),
            _ => Size::Exactly(side, side),
        };
        let size = if config["do_resize"] == false { Size::ShorterSide(side) } else { size };
        // The numbers of the imaging library whose settings these are.
        let filter = match config["resample"].as_u64() {
            Some(0) => imageops::FilterType::Nearest,
            Some(1) => imageops::FilterType::Lanczos3,
            Some(2) | None => imageops::FilterType::Triangle,
            Some(3) => imageops::FilterType::CatmullRom,
            Some(other) => {
                let known = "0 (nearest), 1 (Lanczos), 2 (bilinear) and 3 (bicubic)";
                return Err(format!("{}: resample {other} is not one of {known}", path.display()).into());
            }
        };
        let three = |key: &str| {
            let all: Option<Vec<f32>> = config[key].as_array()?.iter().map(|x| Some(x.as_f64()? as f32)).collect();
            <[f32; 3]>::try_from(all?).ok()
        };
        let normalised = config["do_normalize"] != false;
        let or = |key, usual| three(key).filter(|_| normalised).unwrap_or(usual);
        let usual = if normalised { ([0.5; 3], [0.5; 3]) } else { ([0.0; 3], [1.0; 3]) };
        Ok(Self { side, size, filter, mean: or("image_mean", usual.0), deviation: or("image_std", usual.1) })
    }

    /// Width and height before the middle is cut out.
    pub(crate) fn resized(&self, [width, height]: [u32; 2]) -> Result<(u32, u32)> {
        let (to_width, to_height) = match self.size {
            Size::Exactly(width, height) => (width.into(), height.into()),
            Size::ShorterSide(edge) => {
                let shorter = u64::from(width.min(height).max(1));
                // Towards zero, as the image processors of published models do.
                let scaled = |side: u32| (u64::from(side) * u64::from(edge) / shorter).max(edge.into());
                (scaled(width), scaled(height))
            }
        };
        // Rows first, at the old width.
        let most = u64::from(width).max(to_width).saturating_mul(to_height);
        match (u32::try_from(to_width), u32::try_from(to_height)) {
            (Ok(width), Ok(height)) if most <= MOST_RESIZED => Ok((width, height)),
            _ => Err(format!(
                "an image of {width} x {height} pixels, resized to {to_width} x {to_height}, takes {most} pixels on the way, above \
                 {MOST_RESIZED}"
            )
            .into()),
        }
    }

    /// The square that the model sees.
    pub(crate) fn picture(&self, file: &[u8]) -> Result<RgbImage> {
        let image = upright(file).map_err(|error| format!("the image cannot be read: {error}"))?;
        let (width, height) = image.dimensions();
        let (to_width, to_height) = self.resized([width, height])?;
        let image = if (width, height) == (to_width, to_height) {
            image
        } else {
            imageops::resize(&image, to_width, to_height, self.filter)
        };
        let (width, height) = image.dimensions();
        if width < self.side || height < self.side {
            return Err(format!("the image is {width} x {height}, the model takes {0} x {0}", self.side).into());
        }
        let (x, y) = ((width - self.side) / 2, (height - self.side) / 2);
        Ok(imageops::crop_imm(&image, x, y, self.side, self.side).to_image())
    }
}

/// An image file as viewers show it: turned as its metadata says.
pub(crate) fn upright(file: &[u8]) -> Result<RgbImage> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    reader.limits(Limits::default()); // of what a decoder takes beside the image
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(format!("it has {width} x {height} pixels, {pixels} in all, above {MOST_PIXELS}").into());
    }
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

pub(crate) fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

/// What patches are compared by without a model: a head each.
pub(crate) const DESCRIPTORS: [&str; 3] = ["colours", "edges", "places"];

/// Elements of a head: features, their square, and zeros.
pub(crate) const DIM: usize = 16;

/// Directions of edges that are told apart.
const DIRECTIONS: usize = 8;

/// A picture in square patches.
pub(crate) struct Tiles<'a> {
    picture: &'a RgbImage,
    /// Pixels along a side of a patch.
    patch: u32,
}

impl<'a> Tiles<'a> {
    pub(crate) fn new(picture: &'a RgbImage, patch: u32) -> Self {
        Self { picture, patch }
    }

    pub(crate) fn grid(&self) -> PatchRegions {
        PatchRegions::new(self.picture.width() / self.patch, self.picture.height() / self.patch)
    }

    /// The upper left pixel of each patch, row by row.
    fn corners(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let [columns, _] = self.grid().size();
        (0..self.grid().patches()).map(move |n| (n % columns * self.patch, n / columns * self.patch))
    }

    fn square(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let patch = self.patch;
        (0..patch).flat_map(move |y| (0..patch).map(move |x| (x, y)))
    }

    /// The numbers of each patch, `[patches, channels, rows, columns]`.
    pub(crate) fn pixels(&self, preparation: &Preparation) -> Vec<f32> {
        let channel = |x: u32, y: u32, c: usize| {
            (f32::from(self.picture.get_pixel(x, y)[c]) / 255.0 - preparation.mean[c]) / preparation.deviation[c]
        };
        let patch = |(x0, y0): (u32, u32)| {
            (0..3).flat_map(move |c| self.square().map(move |(x, y)| (x0 + x, y0 + y, c))).collect::<Vec<_>>()
        };
        self.corners().flat_map(patch).map(|(x, y, c)| channel(x, y, c)).collect()
    }

    /// Queries and keys `[patches, heads, DIM]` of the [`DESCRIPTORS`], whose scores are minus the squared distances of features, but for a number that
    /// is the same for all keys.
    pub(crate) fn descriptors(&self) -> [Vec<f32>; 2] {
        // The scale of attention, that distances are not to have.
        let factor = (DIM as f32).sqrt();
        let (mut q, mut k) = (Vec::new(), Vec::new());
        for corner in self.corners() {
            for features in [self.colours(corner), self.edges(corner), self.place(corner)] {
                let square = features.iter().map(|x| x * x).sum();
                q.extend(features.iter().map(|x| 2.0 * factor * x).chain([-factor]));
                k.extend(features.iter().copied().chain([square]));
                let end = q.len().next_multiple_of(DIM);
                q.resize(end, 0.0);
                k.resize(end, 0.0);
            }
        }
        [q, k]
    }

    /// Means of the channels.
    fn colours(&self, (x0, y0): (u32, u32)) -> Vec<f32> {
        let count = (self.patch * self.patch) as f32;
        let pixels = || self.square().map(move |(x, y)| self.picture.get_pixel(x0 + x, y0 + y));
        (0..3).map(|c| pixels().map(|pixel| f32::from(pixel[c])).sum::<f32>() / count / 32.0).collect()
    }

    /// How strong the edges of each direction are.
    fn edges(&self, (x0, y0): (u32, u32)) -> Vec<f32> {
        let (width, height) = self.picture.dimensions();
        let light = |x: u32, y: u32| {
            self.picture.get_pixel(x.min(width - 1), y.min(height - 1)).0.map(f32::from).iter().sum::<f32>()
        };
        let mut edges = [0.0; DIRECTIONS];
        for (x, y) in self.square().map(|(x, y)| (x0 + x, y0 + y)) {
            let (dx, dy) =
                (light(x + 1, y) - light(x.saturating_sub(1), y), light(x, y + 1) - light(x, y.saturating_sub(1)));
            // An edge from light to dark is one from dark to light.
            let turn = dy.atan2(dx).rem_euclid(std::f32::consts::PI) / std::f32::consts::PI;
            edges[(turn * DIRECTIONS as f32) as usize % DIRECTIONS] += dx.hypot(dy);
        }
        edges.iter().map(|edge| (1.0 + edge / (self.patch * self.patch) as f32).ln()).collect()
    }

    fn place(&self, (x, y): (u32, u32)) -> Vec<f32> {
        [x, y].map(|at| at as f32 / self.patch as f32 / 1.5).into()
    }
}
