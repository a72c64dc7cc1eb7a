//! What the library and its examples read from files: whole, or refused with the reason.

use std::{fs, path::Path};

use proptest::sample::select;
use wgpu_attention::{
    Algorithm, Attention, Autotune, Gpu,
    nn::{LayerConfig, StateDict, Transformer, TransformerConfig},
};

use crate::{
    case::Case,
    checkpoint::Checkpoint,
    device,
    fuzz::fuzz,
    image_model::ImageModel,
    mutate::{Change, changed, changes},
    patches::{Preparation, Tiles},
    sentence::Sentence,
    text_model::TextModel,
};

/// Beside twice the file: what a parser keeps of a header.
const LITTLE: usize = 2 << 20;

fn read(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{path} is shipped: {error}"))
}

/// A device of 64 MiB, whose memory is that of the host.
fn gpu() -> Gpu {
    let (device, queue) = device::noop(64 << 20);
    Gpu::from_device(device, queue)
}

#[test]
fn sentences() {
    let file = read("../examples/data/minilm_sentence.safetensors");
    fuzz(
        "sentences",
        changes(),
        |_| 3 * file.len() + LITTLE,
        |changes| {
            drop(Sentence::parse(&changed(&file, changes, true)));
        },
    );
}

#[test]
fn state_dicts() {
    let gpu = gpu();
    let files = ["../examples/data/translate.safetensors", "models/bert/model.safetensors"].map(read);
    let inputs = (0..files.len(), changes());
    // The file as changed, its upload, and the parameters on a device that keeps them in host memory.
    fuzz(
        "state dicts",
        inputs,
        |(file, _)| 4 * files[*file].len() + LITTLE,
        |(file, changes)| {
            let bytes = changed(&files[*file], changes, true);
            let Ok(mut dict) = StateDict::of_file(gpu.attention(), &bytes) else { return };
            let names: Vec<String> =
                ["generator.weight", "decoder.layers.0.norm1.bias", "bert.embeddings.LayerNorm.weight"]
                    .map(String::from)
                    .into();
            for name in names {
                let Some(shape) = dict.shape(&name).map(<[usize]>::to_vec) else { continue };
                let shape: Vec<u32> = shape.iter().map(|&size| size as u32).collect();
                drop((dict.take(&name, &shape), dict.vectors::<3>(&name, shape.first().copied().unwrap_or(0))));
            }
            let config = TransformerConfig {
                layer: LayerConfig::new(64, 4, 128),
                encoder_layers: 2,
                decoder_layers: 2,
                source_vocabulary: 60,
                target_vocabulary: 60,
                positions: 40,
            };
            drop(Transformer::load(&mut dict, "", &config));
            drop(dict.finish());
        },
    );
}

#[test]
fn cases() {
    let gpu = gpu();
    let names = [
        "mha_cross_perhead_kpm",
        "decode_padded_kv_poison",
        "rope_half_s65_d64",
        "encoder_postnorm_relu",
        "varlen_cross_zero_len",
        "long_8k_causal_h1_d64",
        "fwd_past12_new5_causal",
    ];
    let files = names.map(|name| read(&format!("cases/{name}.safetensors")));
    // Data that a case computes from a seed is as long as the device binds.
    fuzz(
        "cases",
        (0..files.len(), changes()),
        |_| 8 * (64 << 20),
        |(file, changes)| {
            let bytes = changed(&files[*file], changes, true);
            if let Ok(case) = Case::parse(&bytes)
                && !case.slow
            {
                drop(case.run(&gpu));
            }
        },
    );
}

/// The files of a model, of which one is changed.
#[derive(Clone)]
struct Folder {
    name: &'static str,
    files: [Vec<u8>; 3],
}

impl Folder {
    fn of(name: &'static str) -> Self {
        let third = if matches!(name, "vit" | "deit") { "preprocessor_config" } else { "tokenizer" };
        let files = ["config.json".into(), "model.safetensors".into(), format!("{third}.json")];
        Self { name, files: files.map(|file| read(&format!("models/{name}/{file}"))) }
    }

    fn changed(&self, file: usize, changes: &[Change]) -> Self {
        let mut folder = self.clone();
        folder.files[file] = changed(&self.files[file], changes, file == 1);
        folder
    }

    /// All of a model but running it.
    fn load(&self, gpu: &Gpu, noise: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        let (path, [config, weights, third]) = (Path::new("DIR"), &self.files);
        let checkpoint = Checkpoint::parse(path, config, weights.clone())?;
        if matches!(self.name, "vit" | "deit") {
            let model = ImageModel::read(&checkpoint, gpu.attention())?;
            let preparation = Preparation::parse(path, Some(third), model.side)?;
            let picture = preparation.picture(noise)?;
            let ready = model.prepare(gpu, &checkpoint, &Tiles::new(&picture, model.patch), &preparation)?;
            return ready.run(gpu).and_then(|hidden| model.classify(&checkpoint, &hidden)).map(drop);
        }
        let model = TextModel::read(&checkpoint, gpu.attention())?;
        let (ids, _) = model.tokenise_by(path, third, "The cat sat on the mat.")?;
        let ready = model.prepare(gpu, &ids)?;
        ready.run(gpu).and_then(|hidden| model.classify(&checkpoint, &hidden)).map(drop)
    }
}

/// Settings of a megabyte at most, parsed, and plans of a model.
const MODEL: usize = 160 << 20;

#[test]
fn models() {
    let (gpu, noise) = (gpu(), read("models/noise.png"));
    let folders = ["bert", "roberta", "distilbert", "vit", "deit"].map(Folder::of);
    for folder in &folders {
        folder.load(&gpu, &noise).unwrap_or_else(|error| panic!("{}: {error}", folder.name));
    }
    let inputs = (0..folders.len(), 0_usize..3, changes());
    fuzz(
        "models",
        inputs,
        |_| MODEL,
        |(folder, file, changes)| {
            drop(folders[*folder].changed(*file, changes).load(&gpu, &noise));
        },
    );
}

#[test]
fn models_that_lie_are_refused_with_the_reason() {
    let (gpu, noise) = (gpu(), read("models/noise.png"));
    let refusal = |name, file: usize, change: fn(String) -> String| {
        let mut folder = Folder::of(name);
        folder.files[file] = change(String::from_utf8(folder.files[file].clone()).expect("it is text")).into_bytes();
        folder.load(&gpu, &noise).expect_err("it must be refused").to_string()
    };
    let long = refusal("bert", 0, |text| text + &" ".repeat(1 << 20));
    assert!(long.starts_with("DIR/config.json has 10") && long.ends_with("bytes, above 1048576"), "{long}");
    // The library panics at it.
    let broken = refusal("bert", 2, |text| text.replace("\"decoder\": {", "\"decoder\": {,"));
    assert_eq!(broken, "DIR: it is broken");
    // Positions are counted from the one after that of the padding token.
    let padding = refusal("roberta", 0, |text| text.replace("\"pad_token_id\": 1", "\"pad_token_id\": 4294967295"));
    assert!(padding.ends_with("tokens, the model takes from 1 to 0"), "{padding}");
}

#[test]
fn kept_choices() {
    let lines: String =
        Algorithm::ALL.iter().map(|algorithm| format!("{algorithm}\ta class | of {algorithm} 12\n")).collect();
    let attention = Attention::new(&device::noop(1 << 20).0);
    fuzz(
        "kept choices",
        changes(),
        |changes| 8 * changed(lines.as_bytes(), changes, false).len() + LITTLE,
        |changes| {
            let bytes = changed(lines.as_bytes(), changes, false);
            if let Ok(tuned) = String::from_utf8_lossy(&bytes).parse::<Autotune>() {
                assert_eq!(tuned.to_string().parse(), Ok(tuned.clone()));
                drop(attention.with_autotune(&tuned));
            }
        },
    );
}

#[test]
fn kept_pipelines() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-pipelines");
    let whole = [b"wgpu-attention 1".as_slice(), &[7; 2000]].concat();
    let starts = select(vec![0_usize, 1, 15, 16, 17, 23, 24, 25, 2016]);
    fuzz(
        "kept pipelines",
        (changes(), starts),
        |_| 4 * 2016 + LITTLE,
        |(changes, len)| {
            fs::write(&file, changed(&whole[..*len], changes, false)).expect("a file");
            let (device, queue) = device::noop(1 << 20);
            drop(Gpu::from_device(device, queue).with_pipelines(&file));
        },
    );
    drop(fs::remove_file(&file));
}
