//! The encoders of the examples against small random models that the library of their formats computed (models/make.py), and against
//! a real one where there is its folder; files that are wrong are refused by name.

#[path = "../../examples/encoders/support/checkpoint.rs"]
mod checkpoint;
#[path = "../../examples/encoders/support/image_model.rs"]
mod image_model;
#[path = "../../examples/encoders/support/patches.rs"]
mod patches;
#[path = "../../examples/encoders/support/published.rs"]
mod published;
#[path = "../../examples/encoders/support/text_model.rs"]
mod text_model;

use std::{
    fs,
    path::{Path, PathBuf},
};

use checkpoint::Checkpoint;
use image_model::ImageModel;
use patches::{Preparation, Tiles};
use published::{Answer, Ready};
use safetensors::SafeTensors;
use text_model::TextModel;
use wgpu_attention::{Gpu, wgpu};

/// Of make.py.
const TEXT: &str = "The cat sat on the mat, didn't it? Ångström naïve.";

/// What a model made of its input: all weights, the last hidden state, an answer.
type Ran = (Vec<f32>, Vec<f32>, Option<Answer>);

fn folder(name: &str) -> PathBuf {
    Path::new("models").join(name) // of the working directory, so that the program runs where the sources are not
}

fn run_text(folder: &Path, text: &str) -> Ran {
    let gpu = Gpu::new().expect("an adapter");
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let model = TextModel::read(&checkpoint, gpu.attention()).expect("a text model");
    let (ids, tokens) = model.tokenise(folder, text).expect("a tokenizer");
    assert_eq!(ids.len(), tokens.len());
    let (weights, hidden) = run(&gpu, model.prepare(&gpu, &ids));
    let answer = model.classify(&checkpoint, &hidden).expect("a head or none");
    (weights, hidden, answer)
}

fn run_image(folder: &Path, file: &[u8]) -> Ran {
    let gpu = Gpu::new().expect("an adapter");
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let model = ImageModel::read(&checkpoint, gpu.attention()).expect("an image model");
    let preparation = Preparation::read(folder, model.side).expect("settings");
    let picture = preparation.picture(file).expect("an image");
    let tiles = Tiles::new(&picture, model.patch);
    let (weights, hidden) = run(&gpu, model.prepare(&gpu, &checkpoint, &tiles, &preparation));
    let answer = model.classify(&checkpoint, &hidden).expect("a head or none");
    (weights, hidden, answer)
}

fn run(gpu: &Gpu, ready: Result<Ready, Box<dyn std::error::Error>>) -> (Vec<f32>, Vec<f32>) {
    let ready = ready.expect("it fits");
    let hidden = ready.run(gpu).expect("it runs");
    assert_eq!(ready.run(gpu).expect("it runs again"), hidden);
    let seen = ready.seen(gpu).expect("it was measured");
    (seen.into_iter().flat_map(|layer| layer.weights).collect(), hidden)
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Option<Vec<f32>> {
    let tensor = file.tensor(name).ok()?;
    Some(tensor.data().as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// all-MiniLM-L6-v2 where its folder is: tests/run.sh fetches it if it can, and says so.
#[test]
#[ignore = "needs an adapter"]
fn a_real_model_agrees() {
    let Some(real) = std::env::var_os("WGPU_ATTENTION_MODEL") else {
        println!("left out: WGPU_ATTENTION_MODEL names no folder of all-MiniLM-L6-v2");
        return;
    };
    let expected = fs::read(folder("minilm").join("expected.safetensors")).expect("it is shipped");
    let text = "The animal didn't cross the street because it was too tired.";
    assert_close("all-MiniLM-L6-v2", &run_text(Path::new(&real), text), &expected);
}

/// The errors that the examples are held to: 2e-5 of weights, 2e-4 of the hidden state.
fn assert_close(name: &str, (weights, hidden, answer): &Ran, expected: &[u8]) {
    let file = SafeTensors::deserialize(expected).expect("what is expected");
    let [of_weights, of_hidden] = [("weights", weights.as_slice()), ("last_hidden_state", hidden.as_slice())]
        .map(|(name, found)| farthest(found, &floats(&file, name).expect("it is there")));
    println!("{name}: weights {of_weights:.1e}, last hidden state {of_hidden:.1e}");
    assert!(of_weights < 2e-5 && of_hidden < 2e-4, "{name}: {of_weights:e}, {of_hidden:e}");
    let logits = floats(&file, "logits");
    assert_eq!(answer.is_some(), logits.is_some(), "{name}");
    if let (Some(answer), Some(logits)) = (answer, logits) {
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        let (best, most) = (0..).zip(&logits).max_by(|a, b| a.1.total_cmp(b.1)).expect("there are some");
        assert_eq!(answer.label, ["no", "perhaps", "yes"][best], "{name}");
        assert!((answer.probability - most.exp() / sum).abs() < 1e-4, "{name}: {}", answer.probability);
    }
}

#[test]
#[ignore = "needs an adapter"]
fn text_models_agree_with_their_library() {
    for name in ["bert", "roberta", "xlm-roberta", "distilbert"] {
        let folder = folder(name);
        let expected = fs::read(folder.join("expected.safetensors")).expect("it is shipped");
        assert_close(name, &run_text(&folder, TEXT), &expected);
    }
}

#[test]
#[ignore = "needs an adapter"]
fn image_models_agree_with_their_library() {
    let noise = fs::read(folder("noise.png")).expect("it is shipped");
    for name in ["vit", "deit"] {
        let folder = folder(name);
        let expected = fs::read(folder.join("expected.safetensors")).expect("it is shipped");
        assert_close(name, &run_image(&folder, &noise), &expected);
    }
}

/// A copy of a model folder with one file changed, and what is said of it.
fn refusal(name: &str, file: &str, change: impl Fn(String) -> String) -> String {
    let folder = folder(name);
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:?}", std::thread::current().id()));
    fs::create_dir_all(&copy).expect("a folder");
    for entry in folder.read_dir().expect("it is shipped").flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("a copy");
    }
    if let Ok(text) = fs::read_to_string(folder.join(file)) {
        fs::write(copy.join(file), change(text)).expect("a copy");
    } else {
        fs::remove_file(copy.join(file)).expect("it was copied");
    }
    let said = load(name, &copy).expect_err("it must be refused").to_string();
    fs::remove_dir_all(&copy).expect("it was made here");
    said.replace(&copy.display().to_string(), "DIR")
}

/// All of a model but running it.
fn load(name: &str, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let gpu = Gpu::from_device(device, queue);
    let checkpoint = Checkpoint::open(folder)?;
    if matches!(name, "vit" | "deit") {
        let model = ImageModel::read(&checkpoint, gpu.attention())?;
        let preparation = Preparation::read(folder, model.side)?;
        let picture = preparation.picture(&fs::read(folder.parent().unwrap_or(folder).join("noise.png"))?)?;
        return model.prepare(&gpu, &checkpoint, &Tiles::new(&picture, model.patch), &preparation).map(drop);
    }
    let model = TextModel::read(&checkpoint, gpu.attention())?;
    let (ids, _) = model.tokenise(folder, TEXT)?;
    model.prepare(&gpu, &ids).map(drop)
}

#[test]
fn wrong_models_are_refused_by_name() {
    let config = |name: &str, was: &str, is: &str| {
        refusal(name, "config.json", |text| {
            assert!(text.contains(was), "{was}");
            text.replace(was, is)
        })
    };
    for (said, expected) in [
        (
            config("bert", r#""model_type": "bert""#, r#""model_type": "gpt2""#),
            "model_type \"gpt2\" is not one of bert, roberta, xlm-roberta and distilbert: nothing else can be read",
        ),
        (
            config("vit", r#""model_type": "vit""#, r#""model_type": "swin""#),
            "model_type \"swin\" is neither vit nor deit: nothing else can be read",
        ),
        (
            config("bert", r#""model_type": "bert""#, r#""model_type": "vit""#),
            "model_type \"vit\" is not one of bert, roberta, xlm-roberta and distilbert: nothing else can be read",
        ),
        (config("bert", r#""model_type""#, r#""kind""#), "config.json lacks \"model_type\""),
        (
            config("bert", r#""hidden_size": 24"#, r#""hidden_size": 27"#),
            "state dict: bert.encoder.layer.0.attention.self.query.weight: it is [24, 24], and [27, 27] is expected",
        ),
        (
            config("bert", r#""num_attention_heads": 3"#, r#""num_attention_heads": 5"#),
            "5 heads cannot share an embedding of 24 evenly",
        ),
        (
            config("bert", r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 3"#),
            "state dict: bert.encoder.layer.2.attention.self.query.weight: it is missing, and [24, 24] is expected; the file \
             has bert.encoder.layer.0.attention.self.query.weight, bert.encoder.layer.1.attention.self.query.weight",
        ),
        (
            config("roberta", r#""hidden_act": "gelu""#, r#""hidden_act": "mish""#),
            "activation \"mish\" is not one of gelu, gelu_new, relu and silu",
        ),
        (
            config("bert", r#""hidden_size": 24"#, r#""hidden_size": -1"#),
            "\"hidden_size\" in config.json is -1, not a size",
        ),
        (
            config(
                "bert",
                r#""model_type": "bert""#,
                r#""model_type": "bert", "position_embedding_type": "relative_key""#,
            ),
            "position_embedding_type \"relative_key\" is not absolute: nothing else can be read",
        ),
        (
            config("vit", r#""patch_size": 8"#, r#""patch_size": 7"#),
            "an image of 32 pixels does not divide into patches of 7, or is above 4096",
        ),
    ] {
        assert_eq!(said, expected);
    }
    let no_file = refusal("distilbert", "model.safetensors", |text| text);
    assert!(no_file.starts_with("cannot read DIR/model.safetensors: "), "{no_file}");
    let not_json = refusal("distilbert", "config.json", |text| text[..20].into());
    assert!(not_json.starts_with("DIR/config.json: "), "{not_json}");
    let tokenizer = refusal("distilbert", "tokenizer.json", |text| text[..20].into());
    assert!(tokenizer.starts_with("DIR/tokenizer.json: "), "{tokenizer}");
}

#[test]
fn texts_that_are_too_long_are_refused() {
    for (name, most) in [("bert", 40), ("roberta", 40)] {
        let folder = folder(name);
        let checkpoint = Checkpoint::open(&folder).expect("a checkpoint");
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(device, queue);
        let model = TextModel::read(&checkpoint, gpu.attention()).expect("a text model");
        let (ids, _) = model.tokenise(&folder, &TEXT.repeat(9)).expect("a tokenizer");
        let said = model.prepare(&gpu, &ids).err().expect("it is too long").to_string();
        assert_eq!(said, format!("the text has {} tokens, the model takes from 1 to {most}", ids.len()));
    }
}

/// A JPEG of three by four squares of 64 pixels, the upper left one red and the rest grey, with this orientation in its metadata.
fn oriented(orientation: u8) -> Vec<u8> {
    let red = |x, y| if x < 64 && y < 64 { [255, 0, 0] } else { [128; 3] };
    let picture = image::RgbImage::from_fn(256, 192, |x, y| image::Rgb(red(x, y)));
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Jpeg).expect("it can be written");
    // One entry of a big-endian TIFF directory: tag 0x0112, one short.
    let exif = [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation][..], &[0; 6]].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let file = file.into_inner();
    [&file[..2], &[0xff, 0xe1], &length, &exif, &file[2..]].concat()
}

/// The corner at which the red square is after each orientation, as (right, lower).
#[test]
fn images_are_as_viewers_show_them() {
    let corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (1, 0), (1, 1), (0, 1)];
    for (orientation, (right, lower)) in (1..).zip(corners) {
        let picture = patches::upright(&oriented(orientation)).expect("an image");
        let at = |corner: u32, side: u32| if corner == 1 { side - 20 } else { 20 };
        let (width, height) = picture.dimensions();
        assert_eq!((width, height), if orientation > 4 { (192, 256) } else { (256, 192) }, "{orientation}");
        let [r, g, _] = picture.get_pixel(at(right, width), at(lower, height)).0;
        assert!(r > 200 && g < 60, "orientation {orientation}: {r} {g}");
    }
}

#[test]
fn sizes_are_those_of_published_processors() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("processors");
    let of = |name: &str, config: &str| {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("preprocessor_config.json"), config).expect("a file");
        Preparation::read(&folder, 32)
    };
    let size = |name, config, sides| of(name, config).expect("settings").resized(sides).expect("they are small");
    let shortest = r#"{"size": {"shortest_edge": 40}}"#;
    assert_eq!(size("shortest", shortest, [100, 73]), (54, 40));
    assert_eq!(size("shortest", shortest, [73, 100]), (40, 54));
    assert_eq!(size("whole", r#"{"size": 36, "do_center_crop": true, "crop_size": 32}"#, [100, 73]), (36, 36));
    assert_eq!(size("exact", r#"{"size": {"height": 40, "width": 50}}"#, [100, 73]), (50, 40));
    for resample in [4, 5] {
        let refusal = of("resample", &format!(r#"{{"resample": {resample}}}"#)).map(drop).expect_err("nobody has it");
        assert!(refusal.to_string().contains(&format!("resample {resample} is not one of 0 (nearest)")), "{refusal}");
    }
}
