//! What people type: `make`, and variables that are set to nothing.

use std::{
    env,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;
use tests::{database::program, workspace::root};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Where the PATH has a program.
fn which(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing"))
}

#[test]
fn make_alone_lists_every_target_with_what_posix_has() {
    let programs = TempDir::new().unwrap();
    for program in ["awk", "sed", "sh"] {
        symlink(which(program), programs.path().join(program)).unwrap();
    }
    let mut make = Command::new(which("make"));
    // The `make` that runs the tests would have this one say which folder it enters.
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL");
    let listed = make.current_dir(root()).env("PATH", programs.path()).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{}", text(&listed));
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: Vec<_> = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY: "))
        .flat_map(str::split_ascii_whitespace)
        .collect();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<Vec<_>> = listed.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    for target in &targets {
        assert!(lines.iter().any(|words| words.len() > 3 && words[..2] == ["make", target]), "{target} in {listed}");
    }
    assert_eq!(lines.len(), targets.len(), "{listed}");
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let run = |name: &str, arguments: &[&str], variables: &[&str]| {
        let mut command = Command::new(program(name).unwrap());
        command.args(arguments).envs(variables.iter().map(|variable| (variable, ""))).current_dir(root());
        command.env_remove("CARGO_MANIFEST_DIR").output().unwrap()
    };
    // Defaults take effect,
    let found = run("xtask", &["tools"], &["DEV_PORT", "TEST_PORT", "PG_BIN"]);
    assert!(found.status.success(), "{}", text(&found));
    // and what is needed is said to be missing, by name, not to be of the wrong form.
    for (program, arguments, variables, missing) in [
        ("operate", &["deploy"][..], &["STAGE"][..], "--stage <STAGE>"),
        ("operate", &["smoke"], &["API_URL", "ORIGIN"], "--api-url <URL>"),
        ("operate", &["secrets", "rotate", "--stage", "dev"], &["STEP", "TOKEN_LIFETIME_SECONDS"], "--step <STEP>"),
        ("operate", &["costs", "--api-url", "http://127.0.0.1:9"], &["API_LOG"], "--log <FILE>"),
        ("xtask", &["keys", "rotate"], &["JWT_PUBLIC_KEYS"], "--public-keys <PUBLIC_KEYS>"),
        ("migrate", &["up"], &["DATABASE_URL_UNPOOLED", "DATABASE_CA_FILE"], "set DATABASE_URL_UNPOOLED"),
    ] {
        let said = run(program, arguments, variables);
        assert!(!said.status.success() && text(&said).contains(missing), "{}", text(&said));
        assert!(!text(&said).contains("invalid") && !text(&said).contains("panicked"), "{}", text(&said));
    }
}
