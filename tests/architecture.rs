//! The folders of src/ are the flow: a file uses only what stands before it, no files stand in a circle, and the lists of
//! kernels, algorithms and problems have no silent arm.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The folders and files of src/ in order. A file uses only its own folder and those before it.
const ORDER: [&str; 11] =
    ["error", "caps", "tensor", "problem", "shader", "kernels", "program", "device", "gpu", "inspect", "nn"];

/// The oracle shares nothing with the kernels: it stands on these alone, and what uses it stands beside the kernels too.
const REFERENCE: &str = "reference";
const REFERENCE_USES: [&str; 3] = ["error", "tensor", "problem"];
const USES_REFERENCE: [&str; 1] = ["inspect"];

/// The one file before `device` that looks at a device: it turns it into plain data.
const READS_DEVICE: &str = "caps";

/// The files with `unsafe` in them: data that a driver trusts; what wgpu calls experimental; trusted shaders.
const UNSAFE: [&str; 3] = ["device/pipelines.rs", "gpu/cache.rs", "gpu/mod.rs"];

/// The enums whose values are matched arm by arm.
const LISTS: [&str; 4] = ["Kernel", "Forward", "Algorithm", "Problem"];

/// A file of src/: its path from there, its module, its code without comments.
#[derive(Clone)]
struct Source {
    path: String,
    module: Vec<String>,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let module = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(String::from).collect();
        Self { path: path.into(), module, text: text.into() }
    }

    fn folder(&self) -> &str {
        &self.module[0]
    }

    fn code(&self) -> String {
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    /// The code without what is only tested.
    fn used_code(&self) -> String {
        self.code().split("#[cfg(test)]").next().unwrap_or_default().into()
    }

    /// The paths from the crate's root that the code names, re-exports aside: `kernels::Kernel`.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for statement in self.used_code().split(';') {
            let reexport = ["pub use", "pub(crate) use"].iter().any(|word| statement.trim_start().starts_with(word));
            for rest in statement.split("crate::").skip(1).filter(|_| !reexport) {
                expand(rest, &[], &mut paths);
            }
        }
        for rest in self.used_code().split("super::").skip(1) {
            expand(rest, &self.module[..self.module.len() - 1], &mut paths);
        }
        paths
    }
}

/// The paths of a use tree: `a::{b::C, d}` are two.
fn expand(text: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let word: String = text.chars().take_while(|&c| is_word(c)).collect();
    let rest = &text[word.len()..];
    let mut path = before.to_vec();
    if !word.is_empty() {
        path.push(word);
    }
    if let Some(tree) = rest.strip_prefix("::") {
        return expand(tree, &path, paths);
    }
    match text.strip_prefix('{') {
        Some(members) => split_group(members).into_iter().for_each(|member| expand(member.trim(), &path, paths)),
        None if path.len() > before.len() => paths.push(path),
        None => {}
    }
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

/// All of src/ but lib.rs, which lists and re-exports.
fn sources() -> Vec<Source> {
    fn visit(root: &Path, folder: &str, found: &mut Vec<Source>) {
        for entry in root.join(folder).read_dir().expect("src/ can be read") {
            let path = format!("{folder}{}", entry.expect("src/ can be read").file_name().to_string_lossy());
            if root.join(&path).is_dir() {
                visit(root, &format!("{path}/"), found);
            } else if path.ends_with(".rs") {
                found.push(Source::new(&path, &fs::read_to_string(root.join(&path)).expect("a source is text")));
            }
        }
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"), "", &mut found);
    found.retain(|source| source.path != "lib.rs");
    found
}

/// The file that holds what a path names: the longest beginning that is a module.
fn holder<'a>(path: &[String], all: &'a [Source]) -> Option<&'a Source> {
    (1..=path.len()).rev().find_map(|len| all.iter().find(|source| source.module[..] == path[..len]))
}

/// What a file uses that stands after it, or beside it.
fn against_the_flow(source: &Source, all: &[Source]) -> Vec<String> {
    let place = |folder: &str| ORDER.iter().position(|known| *known == folder);
    let mut faults = Vec::new();
    if source.folder() != REFERENCE && place(source.folder()).is_none() {
        faults.push(format!("{}: it has no place in the order", source.path));
    }
    for path in source.paths() {
        let (from, to) = (source.folder(), path[0].as_str());
        let allowed = from == to
            || match (from == REFERENCE, to == REFERENCE) {
                (true, _) => REFERENCE_USES.contains(&to),
                (_, true) => USES_REFERENCE.contains(&from),
                _ => place(to).is_some() && place(to) < place(from),
            };
        if !allowed {
            faults.push(format!("{}: it uses {}", source.path, path.join("::")));
        }
        // An item is imported from the file that defines it.
        if let Some(holder) = holder(&path, all).filter(|holder| holder.path.ends_with("mod.rs")) {
            let item = path.get(holder.module.len()).cloned().unwrap_or_default();
            let exported = holder.code().split(';').any(|statement| {
                let statement = statement.trim_start();
                statement.starts_with("pub") && statement.contains("use crate::") && words(statement, &item).count() > 0
            });
            if exported && holder.path != source.path {
                faults.push(format!("{}: {} is defined elsewhere", source.path, path.join("::")));
            }
        }
    }
    faults
}

/// The files that reach themselves through what they use.
fn circles(all: &[Source]) -> Vec<BTreeSet<&str>> {
    let uses: BTreeMap<&str, BTreeSet<&str>> = all
        .iter()
        .map(|source| {
            // A mod.rs also names its own modules without the way to them.
            let below =
                |module: &[String]| module.len() == source.module.len() + 1 && module.starts_with(&source.module);
            let named = |name: &str| source.used_code().contains(&format!(" {name}::"));
            let own = all.iter().filter(|other| below(&other.module) && named(&other.module[source.module.len()]));
            let used = source.paths().into_iter().filter_map(|path| holder(&path, all)).chain(own);
            (source.path.as_str(), used.map(|used| used.path.as_str()).filter(|path| *path != source.path).collect())
        })
        .collect();
    let reach = |from: &'_ str| {
        let (mut reached, mut open) = (BTreeSet::new(), uses.get(from).cloned().unwrap_or_default());
        while let Some(next) = open.pop_first() {
            if reached.insert(next) {
                open.extend(uses.get(next).into_iter().flatten());
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|&path| (path, reach(path))).collect();
    let circle = |path: &&str| -> BTreeSet<&str> {
        let back = |other: &&&str| reached.get(**other).is_some_and(|reached| reached.contains(*path));
        reached[*path].iter().filter(back).copied().collect()
    };
    let found: BTreeSet<BTreeSet<&str>> = uses.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    found.into_iter().collect()
}

/// What a file names that its place forbids.
fn forbidden(source: &Source) -> Vec<String> {
    let code = source.code();
    let mut faults = Vec::new();
    let before_devices = !["device", "gpu", "nn", READS_DEVICE].contains(&source.folder());
    if before_devices && words(&code, "wgpu").count() > 0 {
        faults.push(format!("{}: it names wgpu", source.path));
    }
    if !UNSAFE.contains(&source.path.as_str()) && words(&code, "unsafe").count() > 0 {
        faults.push(format!("{}: it has unsafe code", source.path));
    }
    if code.contains("super::super") {
        faults.push(format!("{}: it reaches for another folder by super", source.path));
    }
    faults
}

/// The matches with arms over one of the lists, and an arm that takes whatever is left.
///
/// An arm is over a list if its pattern names a variant of the list, by its name or by `Self` in an `impl` of the list; what takes the
/// rest is `_` or a lone name.
fn silent_arms(source: &Source) -> Vec<String> {
    let code = source.used_code();
    let mut faults = Vec::new();
    for (start, _) in code.match_indices("match ") {
        let Some(open) = code[start..].find('{') else { continue };
        let body = &code[start + open + 1..];
        let arms = arms_of(body);
        let list = implemented(&code[..start]);
        let listed =
            |head: &str| LISTS.contains(&head) || head == "Self" && list.is_some_and(|list| LISTS.contains(&list));
        let over = |arm: &str| {
            let parts: Vec<_> = arm.split("::").collect();
            let heads = parts[..parts.len() - 1].iter();
            heads.into_iter().any(|part| part.rsplit(|c| !is_word(c)).next().is_some_and(listed))
        };
        let rest = |arm: &&String| *arm == "_" || arm.chars().all(is_word) && arm.starts_with(char::is_lowercase);
        if arms.iter().any(|arm| over(arm)) {
            faults.extend(arms.iter().filter(rest).map(|arm| format!("{}: {arm} takes whatever is left", source.path)));
        }
    }
    faults
}

/// The type that the last `impl` before a place is of.
fn implemented(code: &str) -> Option<&str> {
    let (_, after) = code.rsplit_once("\nimpl ")?;
    let head = after.split('{').next()?.trim();
    let name = head.rsplit(" for ").next()?;
    name.split('<').next().map(str::trim)
}

/// The patterns of a match, whose opening brace is already read.
fn arms_of(body: &str) -> Vec<String> {
    let (mut depth, mut arms, mut arm) = (0, Vec::new(), String::new());
    let mut in_pattern = true;
    let mut last = ' ';
    for c in body.chars() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        if depth == 0 && in_pattern && last == '=' && c == '>' {
            arms.push(arm.trim_end_matches('=').trim().to_string());
            (arm, in_pattern) = (String::new(), false);
        } else if depth == 0 && !in_pattern && (c == ',' || c == '}') {
            in_pattern = true;
        } else if in_pattern {
            arm.push(c);
        }
        last = c;
    }
    arms
}

#[test]
fn folders_are_the_flow() {
    let all = sources();
    let faults: Vec<_> = all.iter().flat_map(|source| against_the_flow(source, &all)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let folders: BTreeSet<_> = all.iter().map(Source::folder).collect();
    let listed: BTreeSet<_> = ORDER.into_iter().chain([REFERENCE]).collect();
    assert_eq!(folders, listed, "the order lists the folders that there are");
    println!("{} files in {} folders", all.len(), listed.len());
}

#[test]
fn no_files_stand_in_a_circle() {
    assert_eq!(circles(&sources()), [] as [BTreeSet<&str>; 0]);
}

#[test]
fn names_stand_where_they_may() {
    let faults: Vec<_> = sources().iter().flat_map(forbidden).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn lists_have_no_silent_arm() {
    let faults: Vec<_> = sources().iter().flat_map(silent_arms).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_stands_in_few_places_each_with_its_reason() {
    let all = sources();
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
    let root =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/lib.rs")).expect("there is a lib.rs");
    let code = Source::new("lib.rs", &root).code();
    assert!(["fn", "struct", "enum", "impl", "const", "unsafe"].iter().all(|word| words(&code, word).count() == 0));
}

#[test]
fn the_rules_can_fail() {
    let flow = |path: &str, text: &str| against_the_flow(&Source::new(path, text), &[]).len();
    assert_eq!(flow("device/plan.rs", "use crate::{caps::Caps, kernels::forward::tile::Tile};"), 0);
    assert_eq!(flow("problem/norm.rs", "use crate::kernels::layers::norm::NormKernel;"), 1);
    assert_eq!(
        flow("problem/norm.rs", "use crate::{\n    caps::Caps,\n    device::{\n        plan::Plan,\n    },\n};"),
        1
    );
    assert_eq!(flow("problem/norm.rs", "fn f() { let x = crate::shader::text(); }"), 1);
    assert_eq!(flow("problem/norm.rs", "use crate::tensor::Tensor; /// [crate::device]"), 0);
    assert_eq!(flow("error.rs", "use crate::tensor::dtype::DType;"), 1);
    assert_eq!(flow("reference/tiled.rs", "use crate::{caps::Caps, kernels::Kernel, problem::norm::Norm};"), 2);
    assert_eq!(flow("kernels/mod.rs", "use crate::reference::attention;"), 1);
    assert_eq!(flow("inspect/heads.rs", "use crate::reference::formula::Sum;"), 0);
    assert_eq!(flow("novelty.rs", ""), 1);
    let all = [
        Source::new("kernels/mod.rs", "pub use crate::kernels::tile::Tile;\npub struct Kernel;"),
        Source::new("kernels/tile.rs", "use crate::kernels::Kernel;\npub struct Tile;"),
    ];
    let from = |text: &str| against_the_flow(&Source::new("program/mod.rs", text), &all).len();
    assert_eq!(from("use crate::kernels::{Kernel, tile::Tile};"), 0);
    assert_eq!(from("use crate::kernels::{Kernel, Tile};"), 1, "re-exports are for callers");
    assert!(circles(&all).is_empty(), "a re-export is no use");
    let uses = Source::new("kernels/mod.rs", "use crate::kernels::tile::Tile;");
    assert_eq!(circles(&[uses, all[1].clone()]), [BTreeSet::from(["kernels/mod.rs", "kernels/tile.rs"])]);
    let far = ["a/x.rs", "a/y.rs", "a/z.rs"].map(|path| {
        let next = match path {
            "a/x.rs" => "y",
            "a/y.rs" => "z",
            _ => "x",
        };
        Source::new(path, &format!("fn f() {{ super::{next}::f() }}"))
    });
    assert_eq!(circles(&far), [BTreeSet::from(["a/x.rs", "a/y.rs", "a/z.rs"])]);
    let named = |path: &str, text: &str| forbidden(&Source::new(path, text)).len();
    assert_eq!(named("kernels/tile.rs", "fn f(device: &wgpu::Device) {} // wgpu"), 1);
    assert_eq!(named("kernels/tile.rs", "//! wgpu\nfn wgpu_like() {} /// wgpu::Device"), 0);
    assert_eq!(named("caps.rs", "fn f(device: &wgpu::Device) {}"), 0);
    assert_eq!(named("device/plan.rs", "fn f() { unsafe { g() } } // unsafe"), 1);
    assert_eq!(named("device/plan.rs", "#[expect(unsafe_code)] // unsafe"), 0);
    let arms = |text: &str| silent_arms(&Source::new("a.rs", text)).len();
    assert_eq!(arms("fn f() { match k { Kernel::Pack(_) => 1, Kernel::Clear(_) => { 2 } } }"), 0);
    assert_eq!(arms("fn f() { match k { Kernel::Pack(_) => 1, _ => 2 } }"), 1);
    assert_eq!(arms("fn f() { match k { Problem::Norm(norm) => norm.f(), other => other } }"), 1);
    assert_eq!(arms("\nimpl Kernel { fn f(self) { match self { Self::Pack(_) => { f(); } _ => {} } } }"), 1);
    assert_eq!(arms("fn f() { match (a, p) { (true, Problem::Norm(norm)) => norm.f(), _ => 0 } }"), 1);
    assert_eq!(arms("\nimpl Sum { fn f(self) { match self { Self::Forwards => 1, _ => 2 } } }"), 0);
}
