use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::variable;

/// A file that only a checkout of this project has.
const MARKER: &str = "tools/cli/Cargo.toml";

/// The root of the checkout that contains the current directory, or else the manifest that `cargo run` was given.
///
/// The path at build time is no help: a checkout can be moved, and two can share a target directory.
///
/// # Errors
/// There is no checkout, or the current directory and cargo's manifest are in different ones.
pub fn checkout() -> Result<PathBuf> {
    let here = env::current_dir().context("there is no current directory")?;
    find(&here, variable("CARGO_MANIFEST_DIR").map(PathBuf::from).as_deref())
}

fn find(here: &Path, manifest: Option<&Path>) -> Result<PathBuf> {
    match (root_of(here), manifest.and_then(root_of)) {
        (Some(here), Some(cargos)) if here != cargos => bail!(
            "the current directory is in {}, but cargo runs this from {}: change to the right one",
            here.display(),
            cargos.display()
        ),
        (Some(root), _) | (None, Some(root)) => Ok(root),
        (None, None) => bail!("{} is not in a checkout of this project", here.display()),
    }
}

fn root_of(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    folder.ancestors().find(|folder| folder.join(MARKER).is_file()).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn checkout() -> TempDir {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join(MARKER).parent().unwrap()).unwrap();
        fs::write(folder.path().join(MARKER), "").unwrap();
        folder
    }

    #[test]
    fn a_checkout_is_found_from_its_subfolders_and_by_cargos_manifest() {
        let (ours, nowhere) = (checkout(), TempDir::new().unwrap());
        let root = ours.path().canonicalize().unwrap();
        let inside = root.join("tools/cli");
        for (here, manifest) in
            [(&*root, None), (&*inside, None), (&*inside, Some(&*inside)), (nowhere.path(), Some(&*inside))]
        {
            assert_eq!(find(here, manifest).unwrap(), root);
        }
        // The manifest of another project is ignored.
        assert_eq!(find(&inside, Some(nowhere.path())).unwrap(), root);
        assert!(find(nowhere.path(), None).unwrap_err().to_string().contains("not in a checkout"));
    }

    #[test]
    fn two_different_checkouts_are_an_error() {
        let (here, cargos) = (checkout(), checkout());
        let error = find(here.path(), Some(cargos.path())).unwrap_err().to_string();
        assert!(error.contains(here.path().to_str().unwrap()) && error.contains("cargo runs this from"), "{error}");
    }
}
