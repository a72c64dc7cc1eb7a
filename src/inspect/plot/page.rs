//! One page, whole in one file, to explore a model's attention in a browser.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use colorous::VIRIDIS;
use serde_json::{Value, json};

use crate::{
    error::Error,
    inspect::{
        heads::{Head, MEANINGS},
        patches::PatchRegions,
        plot::{
            drawing::data_address,
            heat_map::no_map,
            opening::Tokens,
            special::{is_special, places},
        },
    },
    problem::measures::Measures,
    tensor::Tensor,
};

/// The page without its style, script and data.
const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(
    include_str!("page/heads.js"),
    include_str!("page/tokens.js"),
    include_str!("page/map.js"),
    include_str!("page/page.js"),
);

/// Colours of the page's scale.
const COLOURS: usize = 256;

/// An HTML page that holds the attention of a model, and needs no network: pick a layer and a head, hover over a token or a patch
/// to see where it looks, zoom into a map.
///
/// It opens at the head that tells most about the text: the one whose queries, on average, single out a key most, which means to give it
/// more weight than the queries give it on average. Special tokens ([`is_special`]), the first token, the query itself and the tokens
/// beside it do not count as keys here, since many heads look at them whatever the text is. The reader may leave out special tokens.
///
/// Weights are kept in 16 bits, as shares of the largest of their head, 2.7 bytes each in the file: 12 layers of 12 heads over 200 tokens
/// are 15 MB. Show a longer attention as a pooled map ([`Measures::map`](crate::Measures::map)).
///
/// ```
/// use wgpu_attention::inspect::plot::Page;
/// let tokens = ["a", "cat"];
/// let page = Page::new("a cat", &tokens, &tokens).layer("layer 0", &[0.5, 0.5, 0.1, 0.9], &[])?;
/// assert!(page.html()?.starts_with("<!DOCTYPE html>"));
/// # Ok::<(), wgpu_attention::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Page {
    title: String,
    notes: Vec<String>,
    rows: Vec<String>,
    columns: Vec<String>,
    layers: Vec<Value>,
    picture: Option<Value>,
    /// How much the head tells that the page opens at, its layer and its place in it.
    opening: (f64, [usize; 2]),
    /// Places of the rows and columns that can be left out.
    special: [Vec<usize>; 2],
    opens_without: bool,
    logarithmic: bool,
}

impl Page {
    /// A page about weights `[rows, columns]`, with a label for each row (query) and each column (key).
    pub fn new(title: &str, rows: &[impl AsRef<str>], columns: &[impl AsRef<str>]) -> Self {
        Self {
            title: title.into(),
            notes: Vec::new(),
            rows: rows.iter().map(|row| row.as_ref().into()).collect(),
            columns: columns.iter().map(|column| column.as_ref().into()).collect(),
            layers: Vec::new(),
            picture: None,
            opening: (0.0, [0; 2]),
            special: [places(rows, is_special), places(columns, is_special)],
            opens_without: false,
            logarithmic: false,
        }
    }

    /// A page about a map `[rows, columns]` of [`Measures::map`], whose labels are the tokens that each cell covers; refused if there is
    /// no map.
    pub fn pooled(title: &str, measures: &Measures) -> Result<Self, Error> {
        let (Some([of_rows, of_keys]), Some(view)) = (measures.cell(), measures.view(Tensor::Map)) else {
            return Err(no_map());
        };
        let [_, rows] = measures.spec().only_or_all();
        let labels = |first: u32, end: u32, cells: u32, each: u32| -> Vec<String> {
            let cell = |n: u32| (first + n * each, (first + (n + 1) * each).min(end) - 1);
            (0..cells).map(cell).map(|(a, b)| if a == b { a.to_string() } else { format!("{a}–{b}") }).collect()
        };
        let (rows, columns) = (
            labels(rows.start, rows.end, view.sizes[2], of_rows),
            labels(0, measures.spec().shape().kv_len, view.sizes[3], of_keys),
        );
        Ok(Self::new(title, &rows, &columns))
    }

    /// A line of text under the title.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Opens without the rows and columns of these tokens, which the reader can bring back; by default it opens with all, and the reader
    /// can leave out special ones ([`is_special`]). The weights of the other tokens stay as they are: they are not scaled up.
    pub fn without(mut self, is_left_out: impl Fn(&str) -> bool) -> Self {
        self.special = [places(&self.rows, &is_left_out), places(&self.columns, &is_left_out)];
        self.opens_without = true;
        self
    }

    /// Opens with colours that go with the logarithm, over six decades, as
    /// [`HeatMap::logarithmic`](crate::inspect::plot::HeatMap::logarithmic): for long maps, whose weights fall by powers.
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    /// The image, a PNG or JPEG file, whose patches are tokens: they are shown in their places.
    pub fn picture(mut self, image: &[u8], grid: PatchRegions) -> Result<Self, Error> {
        let ([columns, rows], first) = (grid.size(), grid.first());
        let (got, needs) = (self.columns.len(), (first + grid.patches()) as usize);
        if got < needs {
            return Err(Error::Input { name: "columns", got, needs });
        }
        let image = data_address(image)?;
        self.picture = Some(json!({ "image": image, "columns": columns, "rows": rows, "first": first }));
        Ok(self)
    }

    /// A layer with its `weights [heads, rows, columns]`, and what was measured of each head, or nothing. Refused: weights that are
    /// not whole heads, measures of another number of heads.
    pub fn layer(mut self, name: &str, weights: &[f32], measures: &[Head]) -> Result<Self, Error> {
        let size = self.rows.len() * self.columns.len();
        let (got, heads) = (weights.len(), weights.len().checked_div(size).unwrap_or(0));
        if heads == 0 || got % size != 0 {
            return Err(Error::Input { name: "weights", got, needs: heads.max(1) * size });
        }
        if !measures.is_empty() && measures.len() != heads {
            return Err(Error::Input { name: "measures", got: measures.len(), needs: heads });
        }
        let tokens = Tokens::new(&self.rows, &self.columns);
        for (head, weights) in weights.chunks(size).enumerate() {
            let telling = tokens.telling(weights);
            if telling > self.opening.0 {
                self.opening = (telling, [self.layers.len(), head]);
            }
        }
        let most: Vec<f32> = weights.chunks(size).map(largest).collect();
        let shares =
            weights.chunks(size).zip(&most).flat_map(|(head, &most)| head.iter().map(move |&w| share(w, most)));
        let bytes: Vec<u8> = shares.flat_map(u16::to_le_bytes).collect();
        let head = |(n, &most): (usize, &f32)| {
            let name = measures.get(n).map_or(n as u32, |head| head.head);
            let measures =
                measures.get(n).map(|head| head.named().into_iter().collect::<BTreeMap<_, _>>()).unwrap_or_default();
            json!({ "name": format!("head {name}"), "most": most, "measures": measures })
        };
        let heads: Vec<Value> = most.iter().enumerate().map(head).collect();
        self.layers.push(json!({ "name": name, "heads": heads, "weights": BASE64_STANDARD.encode(bytes) }));
        Ok(self)
    }

    /// The whole page. Refused: no layer.
    pub fn html(&self) -> Result<String, Error> {
        if self.layers.is_empty() {
            return Err(Error::Zero { name: "the number of layers" });
        }
        let (_, [layer, head]) = self.opening;
        let [rows, columns] = &self.special;
        let colour = |n: usize| format!("#{:x}", VIRIDIS.eval_rational(n, COLOURS));
        let data = json!({
            "title": self.title,
            "notes": self.notes,
            "rows": self.rows,
            "columns": self.columns,
            "self": self.rows == self.columns,
            "colours": (0..COLOURS).map(colour).collect::<Vec<_>>(),
            "layers": self.layers,
            "picture": self.picture,
            "special": { "row": rows, "column": columns },
            "meanings": MEANINGS.into_iter().collect::<BTreeMap<_, _>>(),
            "opening": {
                "layer": layer,
                "head": head,
                "scale": if self.logarithmic { "log" } else { "head" },
                "without": self.opens_without,
            },
        });
        // Inside a script element, nothing may look like its end.
        let data = data.to_string().replace('<', "\\u003c");
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;");
        // In their order in the template, so that no part is looked into for the mark of another.
        let parts =
            [("<!--TITLE-->", title.as_str()), ("/*STYLE*/", STYLE), ("/*DATA*/", &data), ("/*SCRIPT*/", SCRIPT)];
        let (mut page, mut rest) = (String::new(), TEMPLATE);
        for (mark, part) in parts {
            let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
            page.extend([before, part]);
            rest = after;
        }
        Ok(page + rest)
    }
}

fn largest(weights: &[f32]) -> f32 {
    weights.iter().copied().filter(|weight| weight.is_finite()).fold(0.0, f32::max)
}

/// In 65,535ths of the largest; what is no number is 0.
fn share(weight: f32, most: f32) -> u16 {
    if most > 0.0 { (weight / most * f32::from(u16::MAX)).round() as u16 } else { 0 }
}
