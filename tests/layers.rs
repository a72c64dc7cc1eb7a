//! The one-way flow of src/: a file uses only what stands before it, and knows a device only where it must.

use std::{collections::BTreeSet, fs, path::Path};

/// The files (and folders) of src/ in order. Those of one line refer to one another: they are one layer.
const ORDER: &[&[&str]] = &[
    &["dtype"],
    &["error"],
    &["mask"],
    &["block_mask"],
    &["layout"],
    &[
        "tensor",
        "shape",
        "spec",
        "view",
        "check",
        "rope",
        "merge",
        "measures",
        "divergence",
        "linear",
        "norm",
        "embed",
        "locate",
        "grid",
        "problem",
    ], // what to compute
    &["caps"],
    &["params"],
    &["shader"],
    &["kernels"],
    &["reference"],
    &["pipelines"],
    &["autotune"],
    &["plan"],
    &["bound"],
    &["tune"],
    &["explain"],
    &["gpu"],
    &["inspect"],
    &["nn"],
];

/// The oracle shares nothing with the kernels: it stands on what to compute alone.
const REFERENCE_USES_UP_TO: &str = "spec";

/// The one file before `pipelines` that looks at a device: it turns it into plain data.
const READS_DEVICE: &str = "caps";

/// The files with `unsafe` in them: trusted shaders; what wgpu calls experimental; data that a driver trusts.
const UNSAFE: [&str; 3] = ["gpu/cache.rs", "gpu/mod.rs", "pipelines.rs"];

/// A file of src/: its place in the order, its path from src/, its code without comments.
struct Source {
    module: String,
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let module = path.split(['/', '.']).next().unwrap_or_default();
        Self { module: module.into(), path: path.into(), text: text.into() }
    }

    fn code(&self) -> String {
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    for entry in root.join(folder).read_dir().expect("src/ can be read") {
        let entry = entry.expect("src/ can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}{name}");
        if name.ends_with(".rs") {
            all.push(Source::new(&path, &fs::read_to_string(root.join(&path)).expect("a source is text")));
        } else if entry.path().is_dir() {
            all.extend(sources(&format!("{path}/")));
        }
    }
    all
}

/// All but lib.rs, which lists and re-exports.
fn layered() -> Vec<Source> {
    sources("").into_iter().filter(|source| source.module != "lib").collect()
}

fn layer(module: &str) -> Option<usize> {
    ORDER.iter().position(|layer| layer.contains(&module))
}

/// The names that stand directly behind `crate::`, those in braces included.
fn used(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map_or_else(|| vec![rest], split_group);
        let head = |path: &str| path.trim().split(|c: char| !is_word(c)).next().unwrap_or_default().to_string();
        names.extend(list.into_iter().map(head).filter(|name| !name.is_empty()));
    }
    names
}

/// The members of a use group, whose opening brace is already read.
fn split_group(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (1, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            members.push(&text[start..at]);
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    members
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(|c: char| !is_word(c)).filter(move |found| *found == word)
}

/// What a file does that its place forbids.
fn faults(source: &Source) -> Vec<String> {
    let Source { module, path, .. } = source;
    let Some(own) = layer(module) else { return vec![format!("{path}: it has no place in the order")] };
    let most = if module == "reference" { layer(REFERENCE_USES_UP_TO) } else { Some(own) };
    let code = source.code();
    let mut faults = Vec::new();
    for name in used(&code) {
        match layer(&name) {
            _ if name == *module => {}
            None => faults.push(format!("{path}: crate::{name} is no file of src/")),
            found if found > most => faults.push(format!("{path}: it stands before {name}")),
            Some(_) => {}
        }
    }
    let is_root = !path.contains('/') || path.ends_with("/mod.rs");
    if is_root && code.lines().any(|line| line.starts_with("use super")) || code.contains("super::super") {
        faults.push(format!("{path}: it reaches the crate by super"));
    }
    let before_devices = Some(own) < layer("pipelines") && module != READS_DEVICE;
    if before_devices && words(&code, "wgpu").count() > 0 {
        faults.push(format!("{path}: it names wgpu"));
    }
    if !UNSAFE.contains(&path.as_str()) && words(&code, "unsafe").count() > 0 {
        faults.push(format!("{path}: it has unsafe code"));
    }
    faults
}

#[test]
fn files_use_only_what_stands_before_them() {
    let sources = layered();
    let faults: Vec<_> = sources.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let modules: BTreeSet<_> = sources.iter().map(|source| source.module.as_str()).collect();
    let listed: BTreeSet<_> = ORDER.iter().flat_map(|layer| layer.iter().copied()).collect();
    assert_eq!(modules, listed, "the order lists the files that there are");
    println!("{} files in {} layers", sources.len(), ORDER.len());
}

#[test]
fn unsafe_stands_in_few_places_each_with_its_reason() {
    let all = layered();
    let mut places: Vec<_> = all.iter().filter(|source| words(&source.code(), "unsafe").count() > 0).collect();
    places.sort_by_key(|source| &source.path);
    assert_eq!(places.iter().map(|source| source.path.as_str()).collect::<Vec<_>>(), UNSAFE);
    for place in places {
        assert_eq!(words(&place.code(), "unsafe").count(), 1, "{}", place.path);
        assert_eq!(place.text.matches("// SAFETY:").count(), 1, "{}", place.path);
    }
}

#[test]
fn the_root_has_no_code() {
    let all = sources("");
    let root = all.iter().find(|source| source.module == "lib").expect("there is a lib.rs");
    assert!(
        ["fn", "struct", "enum", "impl", "const", "unsafe"].iter().all(|word| words(&root.code(), word).count() == 0)
    );
}

#[test]
fn the_rules_can_fail() {
    let faults = |path: &str, text: &str| faults(&Source::new(path, text)).len();
    assert_eq!(faults("plan.rs", "use crate::{caps::Caps, kernels::{Kernel, Program}, spec::Spec};"), 0);
    assert_eq!(faults("mask.rs", "use crate::spec::Spec;"), 1);
    assert_eq!(faults("spec.rs", "use crate::{mask::{Band, Mask}, plan::Plan, gpu::Gpu};"), 2);
    assert_eq!(faults("spec.rs", "use crate::{\n    mask::Mask,\n    kernels::{\n        Kernel,\n    },\n};"), 1);
    assert_eq!(faults("spec.rs", "fn f() { let x = crate::shader::text(); }"), 1);
    assert_eq!(faults("spec.rs", "use crate::check::x; use crate::tensor::Tensor; /// [crate::plan]"), 0);
    assert_eq!(faults("layout.rs", "use crate::spec::Spec;"), 1);
    assert_eq!(faults("dtype.rs", "use crate::error::Error;"), 1);
    assert_eq!(faults("rope.rs", "use crate::{problem::Problem, caps::Caps};"), 1);
    assert_eq!(faults("reference/tiled.rs", "use super::row; use crate::spec::Spec;"), 0);
    assert_eq!(faults("reference/tiled.rs", "use crate::kernels::Shader;"), 1);
    assert_eq!(faults("reference/tiled.rs", "use crate::{caps::Caps, params::Params};"), 2);
    assert_eq!(faults("reference/merge.rs", "use crate::{merge::Merge, problem::Problem, rope::Rope};"), 0);
    assert_eq!(faults("kernels/mod.rs", "use crate::reference::attention;"), 1);
    assert_eq!(faults("gpu/run.rs", "use crate::Error;"), 1);
    assert_eq!(faults("gpu/mod.rs", "use super::plan::Plan;"), 1);
    assert_eq!(faults("gpu/run.rs", "use super::super::plan::Plan;"), 1);
    assert_eq!(faults("novelty.rs", ""), 1);
    assert_eq!(faults("kernels/tile.rs", "fn f(device: &wgpu::Device) {} // wgpu"), 1);
    assert_eq!(faults("kernels/tile.rs", "//! wgpu\nfn wgpu_like() {} /// wgpu::Device"), 0);
    assert_eq!(faults("caps.rs", "fn f(device: &wgpu::Device) {}"), 0);
    assert_eq!(faults("plan.rs", "fn f() { unsafe { g() } } // unsafe"), 1);
    assert_eq!(faults("plan.rs", "#[expect(unsafe_code)] // unsafe"), 0);
}
