//! The page in a headless browser: hovering changes it, nothing fails, nothing is asked of a network.

mod browser;

use std::{
    fs,
    path::{Path, PathBuf},
};

use browser::Browser;
use wgpu_attention::{
    MapOf, Measures, Pool, Shape, Spec,
    inspect::{PatchRegions, plot::Page},
};

const CAT: &[u8] = include_bytes!("../../examples/data/cat.jpg");
const TOKENS: [&str; 6] = ["[CLS]", "it", "was", "too", "tired", "<b>&\"'"];

/// A browser, or a line that says that there is none.
fn open(name: &str) -> Option<Browser> {
    let Some(program) = browser::find() else {
        println!("left out: no browser on the path, and WGPU_ATTENTION_BROWSER names none");
        return None;
    };
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profile-{name}"));
    drop(fs::remove_dir_all(&profile));
    Some(Browser::open(&program, &profile))
}

fn write(name: &str, page: &Page) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    fs::write(&path, page.html().expect("it has layers")).expect("it can be written");
    path
}

/// Rollout of two heads: one looks at the token before, one at the first and a bit at all.
fn weights(tokens: usize) -> Vec<f32> {
    let pair = |head: usize, i: usize, j: usize| match (head, j) {
        (0, j) if j + 1 == i.max(1) => 0.9,
        (1, 0) => 0.7,
        _ => 0.1 / tokens as f32,
    };
    (0..2).flat_map(|head| (0..tokens * tokens).map(move |n| pair(head, n / tokens, n % tokens))).collect()
}

/// No message of an error, no exception, no request but for the page itself and what it carries.
fn assert_quiet(browser: &Browser, file: &Path) {
    for event in &browser.events {
        let (method, what) = (event["method"].as_str().unwrap_or_default(), &event["params"]);
        assert!(method != "Runtime.exceptionThrown", "{what}");
        assert!(method != "Log.entryAdded", "{what}");
        assert!(method != "Runtime.consoleAPICalled", "{what}");
        if method == "Network.requestWillBeSent" {
            let address = what["request"]["url"].as_str().unwrap_or_default();
            let own = address.trim_start_matches("file://").split('#').next() == file.to_str();
            assert!(own || address.starts_with("data:"), "a request for {address}");
        }
    }
    let loads = browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent").count();
    assert!(loads > 0, "not even its own is seen");
}

/// Changes a control as a reader does.
fn set(browser: &mut Browser, id: &str, what: &str) {
    browser.evaluate(&format!("document.getElementById('{id}').{what}"));
    browser.evaluate(&format!("document.getElementById('{id}').dispatchEvent(new Event('change'))"));
    browser.settle();
}

fn said(browser: &mut Browser) -> String {
    browser.evaluate("document.getElementById('said').innerText").as_str().expect("a text").into()
}

#[test]
fn hovering_over_a_token_changes_the_page() {
    let Some(mut browser) = open("tokens") else { return };
    let tokens = TOKENS.map(String::from);
    let page = Page::new("It was <tired>", &tokens, &tokens).note("a note");
    let page = (0..3).try_fold(page, |page, n| page.layer(&format!("layer {n}"), &weights(6), &[]));
    let file = write("tokens", &page.expect("whole heads"));
    browser.load(&file);
    browser.settle();
    assert_eq!(browser.evaluate("document.title"), "It was <tired>");

    let before = browser.screenshot();
    browser.hover("#tokens .chip:nth-child(5)", [0.5, 0.5]);
    assert!(browser.screenshot() != before, "the picture changes");
    // Neither head tells more of the text than the other: it opens at the first.
    assert_eq!(browser.evaluate("document.getElementById('head').value"), "0");
    let first = said(&mut browser);
    assert!(first.starts_with("\"tired\" looks at \"too\" 0.90"), "{first}");

    set(&mut browser, "head", "value = '1'");
    let second = said(&mut browser);
    assert!(second.starts_with("\"tired\" looks at \"[CLS]\" 0.70"), "{second}");

    assert_eq!(browser.evaluate("document.getElementById('without-names').innerText"), "leave out [CLS]");
    let whole = browser.screenshot();
    set(&mut browser, "without", "checked = true");
    assert!(browser.screenshot() != whole, "a row and a column are gone");
    // The tokens after it moved up.
    browser.hover("#tokens .chip:nth-child(5)", [0.5, 0.5]);
    let third = said(&mut browser);
    assert!(third.starts_with("\"tired\" looks at ") && !third.contains("[CLS]"), "{third}");
    assert_eq!(browser.evaluate("document.querySelector('#tokens .chip').hidden"), true);
    assert!(browser.evaluate("location.hash").as_str().is_some_and(|hash| hash.contains("without=true")));

    browser.hover("#map", [0.5, 0.5]);
    let cell = browser.evaluate("document.getElementById('cell').innerText");
    assert!(cell.as_str().is_some_and(|cell| cell.contains('→') && cell.contains("weight")), "{cell}");
    assert_quiet(&browser, &file);
}

#[test]
fn hovering_over_a_patch_shows_what_it_sees() {
    let Some(mut browser) = open("picture") else { return };
    let grid = PatchRegions::new(4, 4).after(1);
    let tokens: Vec<String> = (0..17).map(|n| format!("token {n}")).collect();
    let page = Page::new("A cat", &tokens, &tokens).picture(CAT, grid).expect("a picture");
    let file = write("picture", &page.layer("layer 0", &weights(17), &[]).expect("whole heads"));
    browser.load(&file);
    browser.settle();
    browser.hover("#picture", [0.9, 0.9]);
    let corner = browser.screenshot();
    assert!(said(&mut browser).starts_with("\"token 16\" looks at \"token 15\" 0.90"));
    browser.hover("#picture", [0.6, 0.1]);
    assert!(browser.screenshot() != corner);
    assert!(said(&mut browser).starts_with("\"token 3\" looks at \"token 2\" 0.90"));
    assert_quiet(&browser, &file);
}

#[test]
fn long_maps_can_be_explored() {
    let Some(mut browser) = open("long") else { return };
    let shape = Shape { batch: 1, q_heads: 1, kv_heads: 1, q_len: 65536, kv_len: 65536, head_dim: 8, value_dim: 8 };
    let measures = Measures::of(&Spec::new(shape)).map(512, 512, Pool::Sum, MapOf::EachHead);
    let weights: Vec<f32> = (0..512 * 512).map(|n| if n % 513 == 0 { 100.0 } else { 0.1 }).collect();
    let page = Page::pooled("65,536 tokens", &measures).map(Page::logarithmic);
    let page = page.and_then(|page| page.layer("layer 0", &weights, &[]));
    let file = write("long", &page.expect("a map"));
    browser.load(&file);
    browser.settle();
    assert_eq!(browser.evaluate("document.getElementById('scale').value"), "log");
    assert_eq!(browser.evaluate("document.getElementById('without').parentElement.hidden"), true, "nothing special");
    browser.hover("#map", [0.6, 0.6]);
    let (whole, cell) = (browser.screenshot(), browser.evaluate("document.getElementById('cell').innerText"));
    assert!(cell.as_str().is_some_and(|cell| cell.contains('–')), "a range of tokens: {cell}");
    browser.wheel("#map", -900.0);
    assert!(browser.screenshot() != whole, "the wheel zooms");
    assert_quiet(&browser, &file);
}
