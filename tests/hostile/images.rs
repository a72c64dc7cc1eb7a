//! Image files that lie about themselves.

use std::{fs, path::Path};

use crate::{
    fuzz::fuzz,
    mutate::{changed, changes},
    patches::{self, Preparation},
    values::size,
};

/// 2^26 pixels as a decoder has them, and 2^25 on the way to another size, as four floats each.
const IMAGE: usize = (8 << 26) + (16 << 25) + (4 << 20);

/// A PNG of this size that holds no pixels.
fn png(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes(), &body[..], &crc(&body).to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &[]), chunk(b"IEND", &[])].concat()
}

/// The checksum of PNG chunks, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

fn preparation(config: &str) -> Preparation {
    Preparation::parse(Path::new("settings"), Some(config.as_bytes()), 32).expect("they are sound")
}

#[test]
fn images() {
    let files = ["models/noise.png", "../examples/data/cat.jpg"].map(|path| fs::read(path).expect("it is shipped"));
    let ways = [r#"{"size": 36}"#, r#"{"size": {"shortest_edge": 40}}"#, r#"{"do_resize": false}"#].map(preparation);
    let inputs = (0..files.len(), changes(), 0..ways.len());
    fuzz(
        "images",
        inputs,
        |_| IMAGE,
        |(file, changes, way)| {
            drop(ways[*way].picture(&changed(&files[*file], changes, false)));
        },
    );
}

#[test]
fn sizes_of_images() {
    let ways = [r#"{"size": {"height": 8192, "width": 1}}"#, r#"{"size": {"shortest_edge": 8192}}"#].map(preparation);
    fuzz(
        "sizes of images",
        ([size(), size()], 0..ways.len()),
        |_| IMAGE,
        |([width, height], way)| {
            drop(ways[*way].picture(&png(*width, *height)));
            if let Ok((width, height)) = ways[*way].resized([*width, *height]) {
                assert!(u64::from(width) * u64::from(height) <= 1 << 25);
            }
        },
    );
}

#[test]
fn giants_are_refused_by_their_sizes() {
    let refusal = |width, height| patches::upright(&png(width, height)).expect_err("it is a giant").to_string();
    assert_eq!(refusal(8192, 8193), "it has 8192 x 8193 pixels, 67117056 in all, above 67108864");
    assert!(!refusal(u32::MAX >> 1, u32::MAX >> 1).is_empty(), "a decoder's own limit comes first");
    // A strip of a pixel's width, made 224 wide, would be 15,000 times as large.
    let strip = preparation(r#"{"size": {"shortest_edge": 224}}"#);
    let said = strip.resized([1, 1 << 26]).expect_err("it is a giant").to_string();
    let resized = "an image of 1 x 67108864 pixels, resized to 224 x 15032385536, takes 3367254360064 pixels on the way, above 33554432";
    assert_eq!(said, resized);
    // Rows are made first, at the old width.
    let wide = preparation(r#"{"size": {"height": 8192, "width": 32}}"#);
    assert!(wide.resized([4097, 1]).is_err() && wide.resized([4096, 1]).is_ok_and(|size| size == (32, 8192)));
}
