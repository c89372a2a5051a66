//! Database URLs and certificates as people paste them from their host's guide.

use std::{fs, path::Path};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tests::{
    api::fresh_email,
    watch::{Settings, Watch},
    workspace::root,
};

use crate::secrets::refusal_to_start;

/// The stack's settings with other parameters in the database's URL.
fn with_parameters(parameters: &str) -> Settings {
    let settings = Settings::of_the_stack();
    let mut url: reqwest::Url = settings.get("DATABASE_URL").parse().unwrap();
    url.set_query(Some(parameters));
    settings.with("DATABASE_URL", url.as_str())
}

/// The stack's authority, in a file with other things before and after it.
fn authorities(before: &str, after: &str, line_end: &str) -> (TempDir, Settings) {
    let settings = Settings::of_the_stack();
    let own = fs::read_to_string(settings.get("DATABASE_CA_FILE")).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, format!("{before}{own}{after}").replace('\n', line_end)).unwrap();
    let settings = settings.with("DATABASE_CA_FILE", path(&file));
    (folder, settings)
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

fn another_authority() -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::new(["another.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
}

#[tokio::test]
async fn a_url_that_asks_for_what_is_done_anyway_is_taken() {
    for parameters in ["sslmode=verify-full", "sslmode=verify-full&sslrootcert=system", "sslmode=verify-ca"] {
        let watch = Watch::start(&with_parameters(parameters));
        watch.api.sign_up(&fresh_email()).await.expect(201);
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named_when_the_function_starts() {
    for (parameters, named) in [
        ("sslmode=require&pgbouncer=true", "\"pgbouncer\""),
        ("sslmode=verify-ful", "\"sslmode\""),
        ("sslmode=disable", "sslmode=disable"),
        ("sslmode=verify-full&sslrootcert=/etc/ca.pem", "DATABASE_CA_FILE"),
    ] {
        let line = refusal_to_start(&with_parameters(parameters), "/health").await;
        assert!(line.starts_with("DATABASE_URL ") && line.contains(named), "{parameters}: {line}");
    }
}

#[tokio::test]
async fn every_authority_in_the_file_counts() {
    let another = another_authority();
    for (before, after, line_end) in [
        (format!("# Until 2027\n{another}\n# From 2026 on\n"), String::new(), "\r\n"),
        (String::new(), another.clone(), "\n"),
    ] {
        let (_folder, settings) = authorities(&before, &after, line_end);
        Watch::start(&settings).api.sign_up(&fresh_email()).await.expect(201);
    }
}

#[tokio::test]
async fn the_tools_take_the_same_addresses_and_the_same_file() {
    let another = another_authority();
    let (_folder, settings) = authorities(&another, "", "\n");
    let (good, file) = (settings.get("DATABASE_URL_UNPOOLED"), settings.get("DATABASE_CA_FILE"));
    let url = |parameters: &str| format!("{}?{parameters}", good.split('?').next().unwrap());
    let run = async |program: &str, argument: &str, url: &str| {
        let mut command = tokio::process::Command::new(tests::database::program(program).unwrap());
        command.arg(argument).env("STAGE", "").env("DATABASE_URL_UNPOOLED", url).env("DATABASE_CA_FILE", file);
        let output = command.current_dir(root()).output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    for (program, argument) in [("migrate", "status"), ("operate", "monitor")] {
        let (done, complaint) = run(program, argument, &url("sslmode=verify-full&sslrootcert=system")).await;
        assert!(done, "{program}: {complaint}");
        let (done, complaint) = run(program, argument, &url("sslmode=require&pgbouncer=true")).await;
        assert!(!done && complaint.contains("\"pgbouncer\""), "{program}: {complaint}");
    }
}

#[tokio::test]
async fn a_file_with_a_broken_authority_is_refused_when_the_function_starts() {
    let (_folder, settings) = authorities("", &another_authority().replace("END", "ENT"), "\n");
    let line = refusal_to_start(&settings, "/health").await;
    assert!(line.starts_with("DATABASE_CA_FILE "), "{line}");
}
