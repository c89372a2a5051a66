//! `DATABASE_URL` and `DATABASE_CA_FILE` as people copy them from their host's documentation.

use std::{fs, path::Path};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tests::{
    api::fresh_email,
    server::{Settings, TestServer, startup_error},
    workspace::root,
};

/// The shared settings with other parameters in the database URL.
fn with_parameters(parameters: &str) -> Settings {
    let settings = Settings::shared();
    let mut url: reqwest::Url = settings.get("DATABASE_URL").parse().unwrap();
    url.set_query(Some(parameters));
    settings.with("DATABASE_URL", url.as_str())
}

/// The shared settings with more text before and after the authority in its file.
fn authorities(before: &str, after: &str, line_end: &str) -> (TempDir, Settings) {
    let settings = Settings::shared();
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
async fn a_url_that_requires_tls_is_accepted() {
    for parameters in ["sslmode=verify-full", "sslmode=verify-full&sslrootcert=system", "sslmode=verify-ca"] {
        let server = TestServer::start(&with_parameters(parameters));
        server.api.sign_up(&fresh_email()).await.expect(201);
    }
}

#[tokio::test]
async fn an_unsupported_parameter_is_named_when_the_function_starts() {
    for (parameters, named) in [
        ("sslmode=require&pgbouncer=true", "\"pgbouncer\""),
        ("sslmode=verify-ful", "\"sslmode\""),
        ("sslmode=disable", "sslmode=disable"),
        ("sslmode=verify-full&sslrootcert=/etc/ca.pem", "DATABASE_CA_FILE"),
    ] {
        let line = startup_error(&with_parameters(parameters), "/health").await;
        assert!(line.starts_with("DATABASE_URL ") && line.contains(named), "{parameters}: {line}");
    }
}

#[tokio::test]
async fn every_authority_in_the_file_is_trusted() {
    let another = another_authority();
    for (before, after, line_end) in [
        (format!("# Until 2027\n{another}\n# From 2026 on\n"), String::new(), "\r\n"),
        (String::new(), another.clone(), "\n"),
    ] {
        let (_folder, settings) = authorities(&before, &after, line_end);
        TestServer::start(&settings).api.sign_up(&fresh_email()).await.expect(201);
    }
}

#[tokio::test]
async fn the_authorities_of_the_system_can_be_a_file() {
    let (folder, settings) = authorities(&another_authority(), &another_authority(), "\n");
    let file = settings.get("DATABASE_CA_FILE").to_owned();
    let settings = settings.without("DATABASE_CA_FILE").with("SSL_CERT_FILE", "/dev/null").with("CA_FILE", &file);
    TestServer::start(&settings).api.sign_up(&fresh_email()).await.expect(201);
    let missing = path(&folder.path().join("missing.pem")).to_owned();
    let line = startup_error(&settings.with("CA_FILE", &missing), "/health").await;
    assert!(line.starts_with("CA_FILE ") && line.contains("No such file"), "{line}");
}

#[tokio::test]
async fn the_tools_accept_the_same_urls_and_the_same_file() {
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
        let (succeeded, error) = run(program, argument, &url("sslmode=verify-full&sslrootcert=system")).await;
        assert!(succeeded, "{program}: {error}");
        let (succeeded, error) = run(program, argument, &url("sslmode=require&pgbouncer=true")).await;
        assert!(!succeeded && error.contains("\"pgbouncer\""), "{program}: {error}");
    }
}

#[tokio::test]
async fn a_malformed_authority_is_reported_when_the_function_starts() {
    let (_folder, settings) = authorities("", &another_authority().replace("END", "ENT"), "\n");
    let line = startup_error(&settings, "/health").await;
    assert!(line.starts_with("DATABASE_CA_FILE "), "{line}");
}
