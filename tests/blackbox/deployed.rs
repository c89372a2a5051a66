//! The release build on what Amazon Linux 2023 offers. `make test-sam` builds it and runs this.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use object::{Endianness, elf, read::elf::ElfFile64};
use serde_json::{Value, json};
use tests::template::template;

/// The C library of Amazon Linux 2023.
const GLIBC: (u32, u32) = (2, 34);
/// The libraries it offers that a Rust program links.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-"];
/// Its file of trusted authorities.
const AUTHORITIES: &str = "/etc/pki/tls/certs/ca-bundle.crt";

const TIMEOUT: Duration = Duration::from_secs(60);

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test-sam` sets it"))
}

fn build_of(logical_id: &str) -> PathBuf {
    Path::new(&variable("SAM_BUILD")).join(logical_id)
}

/// The libraries that a program links, and the versions of glibc it requires.
fn requirements(program: &[u8]) -> (Vec<String>, Vec<(u32, u32)>) {
    let file = ElfFile64::<Endianness>::parse(program).unwrap();
    let (endian, sections) = (file.endian(), file.elf_section_table());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();

    let table = sections.dynamic_table(endian, program).unwrap();
    let libraries = table.iter().filter(|entry| entry.tag == elf::DT_NEEDED);
    let libraries = libraries.map(|entry| text(table.string(entry).unwrap())).collect();

    let (files, strings) = sections.gnu_verneed(endian, program).unwrap().expect("versions of symbols");
    let strings = sections.strings(endian, program, strings).unwrap();
    let names =
        files.flat_map(|file| file.unwrap().1).map(|version| text(version.unwrap().name(endian, strings).unwrap()));
    let versions = names.filter_map(|name| {
        let mut numbers = name.strip_prefix("GLIBC_")?.split('.').map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    });
    (libraries, versions.collect())
}

#[test]
#[ignore = "looks at a release build: `make test-sam` makes one"]
fn no_function_requires_more_than_the_system_offers() {
    for function in template().functions() {
        let program = fs::read(build_of(&function.logical_id).join("bootstrap")).unwrap();
        let (libraries, versions) = requirements(&program);
        for library in libraries {
            let known = LIBRARIES.iter().any(|known| library.starts_with(known));
            assert!(known, "{} links {library}", function.name);
        }
        let newest = versions.into_iter().max().expect("glibc");
        assert!(newest <= GLIBC, "{} requires glibc {newest:?}", function.name);
    }
}

/// A function in a container, with AWS's Lambda runtime interface emulator.
struct Container(String);

impl Container {
    /// Starts `health`, with or without a file of authorities.
    fn of_health(authorities: Option<&str>) -> Self {
        let mount = |from: &str, to: &str| format!("--volume={from}:{to}:ro");
        let url = variable("DATABASE_URL").replace("@localhost:", "@host.docker.internal:");
        let mut run = Command::new("docker");
        run.args([
            "run",
            "--detach",
            "--publish",
            "127.0.0.1::8080",
            "--add-host",
            "host.docker.internal:host-gateway",
        ])
        .arg(mount(&build_of("Health").display().to_string(), "/var/task"))
        .arg(mount(&variable("LAMBDA_EMULATOR"), "/emulator"))
        .args(authorities.map(|file| mount(file, AUTHORITIES)))
        .args(["--env", &format!("DATABASE_URL={url}"), "--entrypoint", "/emulator"])
        .args([&variable("LAMBDA_IMAGE"), "/var/task/bootstrap"]);
        Self(output(&mut run))
    }

    /// Invokes the function.
    async fn answer(&self) -> Value {
        let address = output(Command::new("docker").args(["port", &self.0, "8080/tcp"]));
        let url = format!("http://{}/2015-03-31/functions/function/invocations", address.lines().next().unwrap());
        let event = json!({"rawPath": "/health", "requestContext": {"requestId": "1", "http": {"method": "GET"}}});
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match http.post(&url).json(&event).send().await {
                Ok(response) => return response.json().await.unwrap(),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.0]).output();
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
#[ignore = "runs a release build in containers: `make test-sam` does"]
async fn the_database_is_verified_against_the_systems_authorities() {
    let authorities = variable("DATABASE_CA_FILE");
    let answer = Container::of_health(Some(&authorities)).answer().await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let answer = Container::of_health(None).answer().await;
    assert_eq!(answer["statusCode"], 503, "{answer}");
}
