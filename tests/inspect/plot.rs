//! Pictures: what they hold, what they refuse, and that colours say what weights are.

use resvg::tiny_skia::Pixmap;
use wgpu_attention::{
    Error, MapOf, Measures, Pool, Shape, Spec,
    inspect::{
        PatchRegions,
        plot::{Figure, HeatMap, Overlay, Page},
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
    let tokens = ["<b>", "&amp;", "\"'", "日本", "🙂", ""].map(String::from);
    let map = HeatMap::new(&tokens, &tokens, &[0.1; 36]).expect("a weight each").title("</svg> & <script>");
    let figure = Figure::new("a < b", &[map.into()], 1).expect("it can be drawn");
    assert!(!figure.svg().contains("<script>") && !figure.svg().contains("<b>"));
    draw(&figure);
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

#[test]
fn a_page_holds_its_data_as_data() {
    let tokens = ["</script><script>alert(1)</script>", "<!--", "/*DATA*/"].map(String::from);
    let page = Page::new("<!--TITLE--> </title>/*DATA*/", &tokens, &tokens).note("a & b");
    let html = page.layer("layer 0", &[0.25; 18], &[]).and_then(|page| page.html()).expect("two heads");
    assert_eq!(html.matches("</script>").count(), html.matches("<script").count());
    assert_eq!(html.matches("<title>").count(), 1);
    let (_, data) = html.split_once("type=\"application/json\">").expect("the data");
    let data: serde_json::Value = serde_json::from_str(data.split("</script>").next().expect("its end")).expect("JSON");
    assert_eq!(data["rows"][0], tokens[0]);
    assert_eq!(data["title"], "<!--TITLE--> </title>/*DATA*/");
    assert_eq!((&data["self"], data["colours"].as_array().map(Vec::len)), (&true.into(), Some(256)));
    assert_eq!(data["layers"][0]["heads"][1]["most"], 0.25);
}
