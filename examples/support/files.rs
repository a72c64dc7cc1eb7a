//! Where examples write: `target/NAME...` in the current folder unless `--out` says otherwise.

use std::{error::Error, fs, path::Path};

/// Writes a file, and makes its folder where there is none.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
