//! What is measured: release builds of the functions and of the echo, and the peers with what they need, installed as it
//! would be deployed.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;
use tests::{
    store::ParameterStore,
    workspace::{root, variable},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{process::Program, report::Row};

pub(crate) struct Programs {
    functions: BTreeMap<String, Program>,
    pub(crate) echo: Program,
    pub(crate) node: Program,
    pub(crate) python: Program,
}

impl Programs {
    pub(crate) fn ready(functions: &[&str]) -> Result<Self> {
        // As `sam build` does it: with the features of the whole build.
        let functions = build(functions.iter().flat_map(|function| ["--bin", function]))?;
        let echo = build(["--package", "echo"])?.remove("echo").context("no echo")?;
        Ok(Self { functions, echo, node: node()?, python: python()? })
    }

    pub(crate) fn function(&self, name: &str) -> Result<&Program> {
        self.functions.get(name).with_context(|| format!("no program {name}"))
    }

    /// The same with its secrets in a Parameter Store.
    pub(crate) async fn with_secrets_by_name(&self, name: &str, database: &str) -> Result<(ParameterStore, Program)> {
        let (store, mut program) = (ParameterStore::start().await, self.function(name)?.clone());
        let environment = store.environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        program.settings.extend(environment);
        for (name, value) in [("DATABASE_URL", database), ("JWT_PUBLIC_KEYS", &variable("JWT_PUBLIC_KEYS"))] {
            let parameter = format!("/task-api/bench/{name}");
            store.put(&parameter, value).await;
            program.settings.extend([(format!("{name}_PARAMETER"), parameter), (name.to_owned(), String::new())]);
        }
        Ok((store, program))
    }

    /// A function, the echo, and the peers in Node.js and in Python.
    pub(crate) fn contestants(&self, function: &str) -> Result<[&Program; 4]> {
        Ok([self.function(function)?, &self.echo, &self.node, &self.python])
    }

    /// The figures of their size, with the bytes of memory that they have taken.
    pub(crate) fn rows(&self, memory: [u64; 4]) -> Result<Vec<Row>> {
        let [own, echo, node, python] = self.contestants("tasks-list")?;
        let sizes = [
            size(Path::new(&own.command[0]))?,
            size(Path::new(&echo.command[0]))?,
            size(&node.folder)?,
            size(&python.folder)?,
        ];
        let row = |figure, bytes: [u64; 4]| Row::compared(figure, bytes.map(|bytes| bytes as f64 / 1e6));
        Ok(vec![
            row("peak memory, MB", memory),
            row("package, MB", sizes.map(|size| size.raw)),
            // 4 was the aim: OpenSSL, and the AWS SDK with a TLS library of its own, leave no room for it.
            row("package zipped, MB", sizes.map(|size| size.zipped)).at_most(5.5),
        ])
    }
}

/// Builds for release what cargo is told to; the programs by name.
fn build<'a>(what: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<String, Program>> {
    let mut build = Command::new(env::var_os("CARGO").context("cargo runs this program")?);
    build.args(["build", "--release", "--message-format", "json-render-diagnostics"]).current_dir(root());
    build.args(what).stdout(Stdio::piped());
    let output = build.spawn()?.wait_with_output()?;
    ensure!(output.status.success(), "the build failed");
    let artifacts = Message::parse_stream(&*output.stdout).filter_map(|message| match message.ok()? {
        Message::CompilerArtifact(artifact) => Some((artifact.target.name, artifact.executable?)),
        _ => None,
    });
    // As the template has it, where the authorities are in one file.
    let system = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];
    let system = system.into_iter().find(|file| Path::new(file).exists()).context("no authorities")?;
    let authorities = root().join(".local/bench/authorities");
    fs::create_dir_all(&authorities)?;
    fs::copy(system, authorities.join("ca-bundle.crt"))?;
    let settings = [
        ("SSL_CERT_FILE", "/dev/null".to_owned()),
        ("SSL_CERT_DIR", authorities.display().to_string()),
        ("CA_FILE", system.to_owned()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let programs = artifacts.map(|(name, file)| {
        let command = vec![file.into_std_path_buf().into()];
        (name.clone(), Program { name, command, folder: root().to_owned(), settings: settings.to_vec() })
    });
    Ok(programs.collect())
}

/// The peer in Node.js.
fn node() -> Result<Program> {
    let folder = folder("node", &["package.json", "package-lock.json", "index.mjs", "runtime.mjs"])?;
    let mut npm = Command::new("npm");
    install(&folder, "package-lock.json", npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    Ok(Program {
        name: "node".to_owned(),
        command: vec!["node".into(), "runtime.mjs".into()],
        folder,
        settings: vec![],
    })
}

/// The peer in Python, with AWS's own runtime.
fn python() -> Result<Program> {
    let folder = folder("python", &["app.py", "requirements.txt"])?;
    let environment = folder.with_file_name("python-environment");
    let python = environment.join("bin/python3");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
    install(
        &folder,
        "requirements.txt",
        pip.args(["--upgrade", "--target", ".", "--requirement", "requirements.txt"]),
    )?;
    let command = vec![python.into(), "-m".into(), "awslambdaric".into(), "app.handler".into()];
    Ok(Program { name: "python".to_owned(), command, folder, settings: vec![] })
}

/// Copies a peer's files to where it runs.
fn folder(peer: &str, files: &[&str]) -> Result<PathBuf> {
    let folder = root().join(".local/peers").join(peer);
    fs::create_dir_all(&folder)?;
    for file in files {
        fs::copy(root().join("tests/peers").join(peer).join(file), folder.join(file))?;
    }
    Ok(folder)
}

/// Installs what a file in the folder names, unless that has been done.
fn install(folder: &Path, lock: &str, command: &mut Command) -> Result<()> {
    let (lock, receipt) = (fs::read(folder.join(lock))?, folder.with_extension("installed"));
    if fs::read(&receipt).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(command.current_dir(folder))?;
    Ok(fs::write(receipt, lock)?)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// What a program prints.
pub(crate) fn printed(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(root()).output().with_context(|| format!("{command:?}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Bytes of what is deployed.
#[derive(Clone, Copy)]
struct Size {
    raw: u64,
    /// As cargo-lambda and others pack it.
    zipped: u64,
}

/// Of a program, or a folder.
fn size(of: &Path) -> Result<Size> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let (mut rest, mut raw) = (vec![of.to_owned()], 0);
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?);
        } else {
            let bytes = fs::read(&path)?;
            raw += u64::try_from(bytes.len())?;
            zip.start_file(path.strip_prefix(root())?.to_string_lossy(), options)?;
            zip.write_all(&bytes)?;
        }
    }
    Ok(Size { raw, zipped: u64::try_from(zip.finish()?.into_inner().len())? })
}
