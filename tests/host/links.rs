//! The links of the pages lead somewhere: to a file, to a heading of it, and from a page of the package only to what the package holds.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

/// A page: its path from the root of the repository, and its text without what stands between fences.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn new(path: &Path, text: &str) -> Self {
        let prose = text.split("```").step_by(2).collect();
        Self { path: path.into(), text: prose }
    }

    /// The links that lead to files, without those to other sites.
    fn links(&self) -> impl Iterator<Item = &str> {
        let targets = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|link| !link.contains("://"))
    }

    /// What follows the `#` of a link to each heading: its words in lower case, joined by hyphens.
    fn anchors(&self) -> BTreeSet<String> {
        let headings =
            self.text.lines().filter_map(|line| line.strip_prefix('#')).map(|rest| rest.trim_matches(['#', ' ']));
        let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
        headings
            .map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
            .collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Option<Page> {
    fs::read_to_string(root().join(path)).ok().map(|text| Page::new(path, &text))
}

/// All pages below a folder, those that a build makes aside.
fn pages(folder: &Path) -> Vec<Page> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| folder.join(entry.expect("an entry").file_name()));
    let paths = paths.filter(|path| !path.starts_with("target") && !path.starts_with(".git"));
    paths
        .flat_map(|path| match path.extension() {
            _ if root().join(&path).is_dir() => pages(&path),
            Some(extension) if extension == "md" => read(&path).into_iter().collect(),
            _ => Vec::new(),
        })
        .collect()
}

/// The files and folders of the package: `include` in Cargo.toml.
fn packaged() -> Vec<PathBuf> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("there is a manifest");
    let list =
        manifest.lines().find_map(|line| line.strip_prefix("include = ")).expect("Cargo.toml says what is packaged");
    list.split('"').skip(1).step_by(2).map(|path| path.trim_start_matches('/').into()).collect()
}

/// Where a relative link of a page leads, from the root.
fn target(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().expect("a page is in a folder").to_path_buf();
    for part in Path::new(link).components() {
        if part == Component::ParentDir {
            path.pop()
        } else {
            path.push(part);
            true
        };
    }
    path
}

/// What is wrong with a link of a page.
fn fault(page: &Page, link: &str, packaged: &[PathBuf]) -> Option<&'static str> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.path.clone() } else { target(&page.path, file) };
    let in_package = |path: &Path| packaged.iter().any(|part| path.starts_with(part));
    if !root().join(&target).exists() {
        Some("there is no such file")
    } else if in_package(&page.path) && !in_package(&target) {
        Some("the package holds the page and not the file")
    } else if let Some(anchor) = anchor
        && read(&target).is_none_or(|page| !page.anchors().contains(anchor))
    {
        Some("there is no such heading")
    } else {
        None
    }
}

#[test]
fn links_lead_somewhere() {
    let packaged = packaged();
    let pages = pages(Path::new(""));
    let links: Vec<_> = pages.iter().flat_map(|page| page.links().map(move |link| (page, link))).collect();
    let faults = links.iter().filter_map(|(page, link)| Some((&page.path, link, fault(page, link, &packaged)?)));
    assert_eq!(faults.collect::<Vec<_>>(), []);
    assert!(links.iter().any(|(page, _)| page.path == Path::new("README.md")), "README.md has links");
}

#[test]
fn dead_links_are_told() {
    let packaged = packaged();
    let told = |path: &str, link: &str| fault(&Page::new(Path::new(path), "## Itself, here"), link, &packaged);
    assert_eq!(told("README.md", "docs/guide.md#pictures"), None);
    assert_eq!(told("docs/adding.md", "../README.md"), None);
    assert_eq!(told("README.md", "docs/none.md"), Some("there is no such file"));
    assert_eq!(told("README.md", "docs/guide.md#none"), Some("there is no such heading"));
    assert_eq!(told("README.md", "tests/run.sh"), Some("the package holds the page and not the file"));
    assert_eq!(told("tests/cases/README.md", "../run.sh"), None);
    let page = Page::new(Path::new("a.md"), "# One, two\n[a](b.md) [c](https://d)\n```\n[e](f.md)\n# no\n```\n[g](#h)");
    assert_eq!(page.links().collect::<Vec<_>>(), ["b.md", "#h"]);
    assert_eq!(page.anchors(), BTreeSet::from(["one-two".into()]));
}
