//! Pictures: what they hold, what they refuse, and that colours say what weights are.

use resvg::tiny_skia::Pixmap;
use wgpu_attention::{
    Error, MapOf, Measures, Pool, Shape, Spec,
    inspect::{
        Head, PatchRegions,
        plot::{Figure, HeatMap, Overlay, Page, is_special},
    },
};

const CAT: &[u8] = include_bytes!("../../examples/data/cat.jpg");

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t{n}")).collect()
}

/// How often a colour stands in a picture.
fn count(picture: &Pixmap, colour: [u8; 3]) -> usize {
    picture.pixels().iter().filter(|p| [p.red(), p.green(), p.blue()] == colour).count()
}

fn draw(figure: &Figure) -> Pixmap {
    Pixmap::decode_png(&figure.png().expect("it can be drawn")).expect("a whole file")
}

/// The two ends of the colour map.
const ENDS: [[u8; 3]; 2] = [[68, 1, 84], [253, 231, 37]];

#[test]
fn colours_are_of_weights() {
    let tokens = labels(10);
    let ends = |weights: &[f32], largest: Option<f32>| {
        let map = HeatMap::new(&tokens, &tokens, weights).expect("a weight each");
        let map = if let Some(largest) = largest { map.largest(largest) } else { map };
        let picture = draw(&Figure::new("", &[map.into()], 1).expect("it can be drawn"));
        ENDS.map(|colour| count(&picture, colour))
    };
    let mut weights = [0.0; 100];
    let [dark, bright] = ends(&weights, None);
    weights[37] = 0.25;
    let [less_dark, more_bright] = ends(&weights, None);
    // A cell of 40 x 40 pixels less the line that parts it from its neighbours; its number covers a few.
    assert_eq!(dark - less_dark, 39 * 39);
    assert!((1300..=39 * 39).contains(&(more_bright - bright)), "{bright}, then {more_bright}");
    assert_eq!(ends(&weights, Some(1.0))[1], bright, "a quarter of the largest is not bright");
}

#[test]
fn what_is_not_finite_is_grey() {
    let tokens = labels(2);
    let weights = [f32::NAN, f32::INFINITY, 0.5, f32::NEG_INFINITY];
    let map = HeatMap::new(&tokens, &tokens, &weights).expect("a weight each");
    let svg = Figure::new("", &[map.into()], 1).expect("it can be drawn");
    let fills = svg.svg().match_indices("fill=\"#").map(|(at, _)| &svg.svg()[at + 7..at + 13]);
    let grey = fills.filter(|fill| fill[..2] == fill[2..4] && fill[2..4] == fill[4..] && *fill != "555555");
    assert_eq!(grey.count(), 3);
}

#[test]
fn labels_and_titles_are_text_whatever_they_hold() {
    let unwritable = "a\0b\u{1}\u{8}\u{1b}\u{fffe}\u{ffff}";
    let tokens = ["<b>", "&amp;", "\"'", "日本", "🙂", "", unwritable].map(String::from);
    let map = HeatMap::new(&tokens, &tokens, &[0.1; 49]).expect("a weight each").title("</svg> & <script>");
    let figure = Figure::new("a < b", &[map.into()], 1).expect("it can be drawn");
    assert!(!figure.svg().contains("<script>") && !figure.svg().contains("<b>"));
    draw(&figure);
}

#[test]
fn labels_are_strings_of_any_kind() {
    let (owned, borrowed) = (labels(2), ["t0", "t1"]);
    let picture = |map: Result<HeatMap<'_>, Error>| Figure::new("", &[map.expect("a weight each").into()], 1);
    let all = [
        picture(HeatMap::new(&owned, &owned, &[0.25; 4])),
        picture(HeatMap::new(&borrowed, &borrowed, &[0.25; 4])),
        picture(HeatMap::new(&borrowed, &owned, &[0.25; 4])),
    ];
    assert!(all.iter().all(|figure| figure == &all[0]));
    let page = |page: Page| page.layer("layer 0", &[0.25; 4], &[]).and_then(|page| page.html());
    assert_eq!(page(Page::new("p", &owned, &borrowed)), page(Page::new("p", &borrowed, &owned)));
}

/// A map without some tokens is the map of the others, weights and all, and says so.
#[test]
fn tokens_can_be_left_out() {
    let tokens = ["[CLS]", "cat", "sat", "[SEP]"];
    let weights: Vec<f32> = (0..16).map(|n| if n % 4 == 0 { 0.9 } else { 0.01 * n as f32 }).collect();
    let map = |weights| HeatMap::new(&tokens, &tokens, weights).expect("a weight each");
    let svg = |map: HeatMap<'_>| Figure::new("", &[map.into()], 1).expect("it can be drawn").svg().to_string();
    let (whole, less) = (svg(map(&weights)), svg(map(&weights).without(is_special)));
    assert!(less.contains("without [CLS], [SEP]; other weights unchanged") && !whole.contains("without"));
    // The largest of the weights that are left: the bar's upper end.
    assert!(whole.contains("\n0.900\n") && less.contains("\n0.100\n"));
    // The four cells that are left, in the colours that the same weights have in the map of these tokens alone.
    let kept = [weights[5], weights[6], weights[9], weights[10]];
    let alone = svg(HeatMap::new(&tokens[1..3], &tokens[1..3], &kept).expect("a weight each"));
    let cells = |svg: &str| {
        let cells = svg.lines().filter(|line| line.contains("width=\"39\"")).map(String::from);
        cells.collect::<Vec<_>>()
    };
    assert_eq!((cells(&less), cells(&whole).len()), (cells(&alone), 16));
    assert_eq!(cells(&less).len(), 4);
    assert!(draw(&Figure::new("", &[map(&weights).without(|_| true).into()], 1).expect("a note alone")).width() > 1);
}

#[test]
fn special_tokens_are_known() {
    assert!(["[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>", "<|endoftext|>"].iter().all(|token| is_special(token)));
    assert!(["[MASK]", "cls", "<b>", "<|>", "<||>", "", "it"].iter().all(|token| !is_special(token)));
}

#[test]
fn long_maps_are_images_with_numbers_beside() {
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 4096, kv_len: 8192, head_dim: 8, value_dim: 8 };
    let measures = Measures::of(&Spec::new(shape)).map(256, 512, Pool::Sum, MapOf::EachHead);
    let weights: Vec<f32> = (0..256 * 512).map(|n| if n % 513 == 0 { 16.0 } else { 1e-9 }).collect();
    let map = HeatMap::pooled(&measures, &weights).expect("a map").logarithmic();
    let figure = Figure::new("long", &[map.into()], 1).expect("it can be drawn");
    for tick in ["1024", "3072", "6144", "16.000", "2e-5 or less"] {
        assert!(figure.svg().contains(&format!("\n{tick}\n")), "{tick}");
    }
    assert!(figure.svg().len() < 100_000, "an image, not {} bytes of squares", figure.svg().len());
    let picture = draw(&figure);
    assert!(count(&picture, ENDS[1]) >= 256 * 9, "cells of 3 x 3 pixels");
    assert!(count(&picture, ENDS[0]) > 256 * 500 * 9);
    let page = Page::pooled("long", &measures).and_then(|page| page.layer("layer 0", &weights, &[])?.html());
    assert!(page.is_ok_and(|page| page.contains("4080–4095") && page.contains("8176–8191")));
}

#[test]
fn overlays_show_the_image_under_the_weights() {
    let grid = PatchRegions::new(14, 14);
    let mut weights = [0.0; 196];
    weights[20] = 1.0;
    let draw = |overlay: Overlay<'_>| draw(&Figure::new("", &[overlay.into()], 1).expect("it can be drawn"));
    let plain = draw(Overlay::new(CAT, grid, &weights).expect("a weight each"));
    let moved = {
        let mut w = weights;
        w.swap(20, 99);
        w
    };
    let other = draw(Overlay::new(CAT, grid, &moved).expect("a weight each"));
    let framed = draw(Overlay::new(CAT, grid, &weights).expect("a weight each").query(3, 4));
    let differ = |a: &Pixmap, b: &Pixmap| a.pixels().iter().zip(b.pixels()).filter(|(a, b)| a != b).count();
    assert!((2 * 1500..=2 * 1600).contains(&differ(&plain, &other)), "two patches: {}", differ(&plain, &other));
    assert!((400..1000).contains(&differ(&plain, &framed)), "a frame: {}", differ(&plain, &framed));
}

/// Patches of the least weight are those of the image, whatever that weight is; the larger a weight, the more it covers.
#[test]
fn the_least_weight_leaves_the_image_as_it_is() {
    let opacities = |weights: &[f32]| {
        let overlay = Overlay::new(CAT, PatchRegions::new(2, 2), weights).expect("a weight each");
        let figure = Figure::new("", &[overlay.into()], 1).expect("it can be drawn");
        let patch = |line: &&str| line.contains("width=\"40\"") && line.contains("fill-opacity");
        let opacity = |line: &str| {
            let (_, rest) = line.split_once("fill-opacity=\"").expect("it has one");
            rest.split('"').next().and_then(|number| number.parse().ok()).expect("a number")
        };
        figure.svg().lines().filter(patch).map(opacity).collect::<Vec<f32>>()
    };
    for weights in [[0.0, 0.5, 0.75, 1.0], [0.2, 0.3, 0.35, 0.4]] {
        let [least, middle, larger, largest] = opacities(&weights)[..] else { panic!("four patches") };
        assert_eq!(least, 0.0);
        assert!(middle > 0.3 && larger > middle && largest > larger && largest < 1.0);
    }
    assert!(opacities(&[0.25; 4]).iter().all(|&opacity| opacity > 0.5), "all are the largest");
    let [grey, least, ..] = opacities(&[f32::NAN, 0.1, 0.2, 0.3])[..] else { panic!("four patches") };
    assert!(grey > 0.5 && least == 0.0);
}

#[test]
fn pictures_of_wrong_sizes_are_refused() {
    let (tokens, input) = (labels(3), |name, got, needs| Some(Error::Input { name, got, needs }));
    assert_eq!(HeatMap::new(&tokens, &tokens, &[0.0; 8]).err(), input("weights", 8, 9));
    assert_eq!(Overlay::new(CAT, PatchRegions::new(2, 2), &[0.0; 3]).err(), input("weights", 3, 4));
    let page = || Page::new("p", &tokens, &tokens);
    assert_eq!(page().layer("layer 0", &[0.0; 10], &[]).err(), input("weights", 10, 9));
    assert_eq!(page().layer("layer 0", &[], &[]).err(), input("weights", 0, 9));
    assert_eq!(page().html().err(), Some(Error::Zero { name: "the number of layers" }));
    assert_eq!(page().picture(CAT, PatchRegions::new(2, 2)).err(), input("columns", 3, 4));
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 4, kv_len: 4, head_dim: 8, value_dim: 8 };
    let rows = Measures::of(&Spec::new(shape)).rows();
    let no_map = Error::Picture { because: "these measures have no map: ask for one with Measures::map".into() };
    assert_eq!(HeatMap::pooled(&rows, &[]).err(), Some(no_map.clone()));
    assert_eq!(Page::pooled("p", &rows).err(), Some(no_map.clone()));
    let huge = labels(40_000);
    let none: Vec<f32> = vec![0.0; 40_000];
    let wide = HeatMap::new(&huge[..1], &huge, &none).expect("a weight each");
    assert!(Figure::new("", &[wide.into()], 1).and_then(|figure| figure.png()).is_ok(), "long, but not large");
}

fn data_of(page: Result<Page, Error>) -> serde_json::Value {
    let html = page.and_then(|page| page.html()).expect("whole layers");
    let (_, data) = html.split_once("type=\"application/json\">").expect("the data");
    serde_json::from_str(data.split("</script>").next().expect("its end")).expect("JSON")
}

/// Heads that look at the first token, special ones, themselves and their neighbours tell nothing, however sharply they look.
#[test]
fn a_page_opens_at_the_head_that_tells_most() {
    const N: usize = 8;
    let tokens = ["[CLS]", "a", "b", "c", "d", "e", "f", "[SEP]"];
    let head = |key: &dyn Fn(usize) -> usize, share: f32| -> Vec<f32> {
        let rest = (1.0 - share) / N as f32;
        (0..N * N).map(|n| if n % N == key(n / N) { share } else { rest }).collect()
    };
    let dull = [head(&|_| 0, 1.0), head(&|_| 7, 1.0), head(&|i| i, 1.0), head(&|i| i.saturating_sub(1), 1.0)].concat();
    let telling =
        [head(&|i| (i + 1) % N, 1.0), head(&|i| (i + 3) % 6 + 1, 0.6), head(&|i| (i + 3) % 6 + 1, 0.3)].concat();
    let page = |tokens| Page::new("p", tokens, tokens).layer("layer 0", &dull, &[]);
    let opening = data_of(page(&tokens).and_then(|page| page.layer("layer 1", &telling, &[])))["opening"].clone();
    assert_eq!(opening, serde_json::json!({ "layer": 1, "head": 1, "scale": "head", "without": false }));
    let opening = data_of(page(&tokens))["opening"].clone();
    assert_eq!((&opening["layer"], &opening["head"]), (&0.into(), &0.into()), "one as dull as the other");
    let without = data_of(page(&tokens).map(|page| page.without(|token| token == "a").logarithmic()));
    assert_eq!((&without["opening"]["scale"], &without["opening"]["without"]), (&"log".into(), &true.into()));
    assert_eq!(without["special"], serde_json::json!({ "row": [1], "column": [1] }));
    assert_eq!(data_of(page(&tokens))["special"]["row"], serde_json::json!([0, 7]));
}

#[test]
fn a_page_explains_every_measure() {
    let page = Page::new("p", &["a"], &["a"]).layer("layer 0", &[1.0], &[Head::default()]);
    let meanings = data_of(page)["meanings"].clone();
    let explains = |name: &str| meanings[name].as_str().is_some_and(|meaning| meaning.ends_with('.'));
    assert!(Head::default().named().iter().all(|(name, _)| explains(name)), "{meanings}");
}

#[test]
fn a_page_holds_its_data_as_data() {
    let tokens = ["</script><script>alert(1)</script>", "<!--", "/*DATA*/"].map(String::from);
    let page = Page::new("<!--TITLE--> </title>/*DATA*/", &tokens, &tokens).note("a & b");
    let page = page.layer("layer 0", &[0.25; 18], &[]);
    let html = page.clone().and_then(|page| page.html()).expect("two heads");
    assert_eq!(html.matches("</script>").count(), html.matches("<script").count());
    assert_eq!(html.matches("<title>").count(), 1);
    let data = data_of(page);
    assert_eq!(data["rows"][0], tokens[0]);
    assert_eq!(data["title"], "<!--TITLE--> </title>/*DATA*/");
    assert_eq!((&data["self"], data["colours"].as_array().map(Vec::len)), (&true.into(), Some(256)));
    assert_eq!(data["layers"][0]["heads"][1]["most"], 0.25);
}
