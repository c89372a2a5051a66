//! Finds tools, and installs those that are missing or pinned to another version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;
use tokio::process::Command;

use super::packages;
use super::table::{NPM, PYTHON, Pin, Source, Tool};
use crate::cargo::cargo;
use crate::process::run_quietly;
use crate::profile::tools_folder;
use crate::server_user::ServerUser;

impl Tool {
    /// The program, installed if it is missing.
    pub(crate) async fn program(&self) -> Result<PathBuf> {
        match (&self.source, self.on_path()) {
            // It takes minutes to build.
            (Source::Pinned(Pin::Cargo), Some(found)) => Ok(found),
            _ => self.find_or_install().await,
        }
    }

    /// The same, where there may be none. Why there is none is printed.
    pub(super) async fn program_if_possible(&self) -> Option<PathBuf> {
        self.program().await.inspect_err(|error| println!("  {error:#}")).ok()
    }

    pub(super) async fn find_or_install(&self) -> Result<PathBuf> {
        if let Some(found) = self.find()? {
            return Ok(found);
        }
        self.install().await?;
        self.find()?.with_context(|| format!("{} was installed, and cannot be found", self.programs[0]))
    }

    /// The system's program, or a pinned one if its version is the one that is installed.
    pub(super) fn find(&self) -> Result<Option<PathBuf>> {
        match self.source {
            Source::System(_) => Ok(self.on_path()),
            Source::Pinned(pin) => Ok(Pinned::of(pin, self.programs[0], &folder()?)?.installed()),
        }
    }

    pub(super) async fn install(&self) -> Result<()> {
        let missing = format!("{} is missing ({})", self.programs[0], self.purpose);
        let folder = folder()?;
        let log = folder.join("install.log");
        match &self.source {
            Source::System(packages) => packages::install(packages, &missing, &log).await,
            Source::Pinned(pin) => {
                println!("  {missing}: installing it into {}", folder.display());
                Pinned::of(*pin, self.programs[0], &folder)?.install(*pin, &log).await
            }
        }
    }
}

/// `.local/tools`, or a place that the servers' user can reach.
fn folder() -> Result<PathBuf> {
    let folder = tools_folder(ServerUser::find()?)?;
    fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}

/// A pinned tool, in a folder of its own.
struct Pinned<'a> {
    name: &'a str,
    home: PathBuf,
    program: PathBuf,
    /// The file with the pin.
    file: PathBuf,
    /// What is to be installed.
    pin: String,
    /// The copy of `pin` that says what is installed.
    receipt: PathBuf,
}

impl<'a> Pinned<'a> {
    fn of(pin: Pin, program: &'a str, folder: &Path) -> Result<Self> {
        let (kind, name, programs, file) = match pin {
            Pin::Python(name) => ("python", name, "bin", format!("{name}.txt")),
            Pin::Npm(name) => ("npm", name, "node_modules", format!("{name}/package-lock.json")),
            Pin::Cargo => ("cargo", program, "bin", "cargo-tools.toml".to_owned()),
        };
        let home = folder.join(kind).join(name);
        let file = cli::checkout()?.join("tools/xtask/pins").join(file);
        let text = fs::read_to_string(&file)?;
        let pin = match pin {
            // An environment works only where it was created.
            Pin::Python(_) => format!("# {}\n{text}", home.display()),
            Pin::Npm(_) => text,
            Pin::Cargo => toml::from_str::<BTreeMap<String, String>>(&text)?
                .remove(name)
                .with_context(|| format!("{} has no version of {name}", file.display()))?,
        };
        Ok(Self {
            name: program,
            program: home.join(programs).join(program),
            receipt: home.join("pin"),
            home,
            file,
            pin,
        })
    }

    fn installed(self) -> Option<PathBuf> {
        let is_current = fs::read_to_string(&self.receipt).is_ok_and(|installed| installed == self.pin);
        (is_current && self.program.is_file()).then_some(self.program)
    }

    async fn install(&self, pin: Pin, log: &Path) -> Result<()> {
        let home = &self.home;
        if home.exists() {
            fs::remove_dir_all(home)?;
        }
        fs::create_dir_all(home)?;
        let mut command;
        match pin {
            Pin::Python(_) => {
                let python = Box::pin(PYTHON.program()).await?;
                run_quietly(Command::new(python).args(["-m", "venv"]).arg(home), log).await?;
                command = Command::new(home.join("bin/python3"));
                // The files name everything, also what a package depends on.
                let options = ["--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement"];
                command.args(["-m", "pip", "install"]).args(options).arg(&self.file);
            }
            Pin::Npm(_) => {
                for name in ["package.json", "package-lock.json"] {
                    fs::copy(self.file.with_file_name(name), home.join(name))?;
                }
                command = Command::new(Box::pin(NPM.program()).await?);
                command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(home);
            }
            Pin::Cargo => {
                println!("  building it takes some minutes");
                command = cargo();
                command.args(["install", "--locked", self.name, "--version", &self.pin, "--root"]).arg(home);
            }
        }
        run_quietly(&mut command, log).await?;
        Ok(fs::write(&self.receipt, &self.pin)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_installed_anew_when_its_pin_or_its_place_changes() {
        let place = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| place.path().join(name));
        let squawk = |folder: &Path| Pinned::of(Pin::Python("squawk"), "squawk", folder).unwrap();
        let Pinned { program, pin, receipt, .. } = squawk(&one);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        assert_eq!(squawk(&one).installed(), None, "an installation that was interrupted");
        fs::write(&receipt, pin.replace("squawk-cli==", "squawk-cli==0.")).unwrap();
        assert_eq!(squawk(&one).installed(), None);
        fs::write(&receipt, pin).unwrap();
        assert_eq!(squawk(&one).installed(), Some(program));
        fs::rename(&one, &two).unwrap();
        assert_eq!(squawk(&two).installed(), None);
    }
}
