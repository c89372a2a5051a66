//! The checkout to work on.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::variable;

/// Only a checkout of this project has this file.
const MARK: &str = "tools/cli/Cargo.toml";

/// The root of the checkout that the current directory is in, and outside of any, the one that `cargo run` was told
/// to run this program from. Where the program was built says nothing: a checkout can be copied or moved, and two can
/// share one target folder.
///
/// # Errors
/// There is none, or there are two: nothing may be done to the wrong one.
pub fn checkout() -> Result<PathBuf> {
    let here = env::current_dir().context("there is no current directory")?;
    one(&here, variable("CARGO_MANIFEST_DIR").map(PathBuf::from).as_deref())
}

fn one(here: &Path, manifest: Option<&Path>) -> Result<PathBuf> {
    match (around(here), manifest.and_then(around)) {
        (Some(here), Some(cargos)) if here != cargos => bail!(
            "the current directory is in {}, but cargo runs this from {}: go to the one that is meant",
            here.display(),
            cargos.display()
        ),
        (Some(root), _) | (None, Some(root)) => Ok(root),
        (None, None) => bail!("{} is in no checkout of this project: go to one", here.display()),
    }
}

/// The checkout that a folder is in.
fn around(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    folder.ancestors().find(|folder| folder.join(MARK).is_file()).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn checkout() -> TempDir {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join(MARK).parent().unwrap()).unwrap();
        fs::write(folder.path().join(MARK), "").unwrap();
        folder
    }

    #[test]
    fn a_checkout_is_found_from_its_subfolders_and_by_what_cargo_says() {
        let (one_of_ours, nowhere) = (checkout(), TempDir::new().unwrap());
        let root = one_of_ours.path().canonicalize().unwrap();
        let inside = root.join("tools/cli");
        for (here, manifest) in
            [(&*root, None), (&*inside, None), (&*inside, Some(&*inside)), (nowhere.path(), Some(&*inside))]
        {
            assert_eq!(one(here, manifest).unwrap(), root);
        }
        // What another project's cargo says means nothing here.
        assert_eq!(one(&inside, Some(nowhere.path())).unwrap(), root);
        assert!(one(nowhere.path(), None).unwrap_err().to_string().contains("in no checkout"));
    }

    #[test]
    fn of_two_checkouts_neither_is_taken() {
        let (here, cargos) = (checkout(), checkout());
        let error = one(here.path(), Some(cargos.path())).unwrap_err().to_string();
        assert!(error.contains(here.path().to_str().unwrap()) && error.contains("cargo runs this from"), "{error}");
    }
}
