//! What people type: `make`, and variables that are set to nothing.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
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
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
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
    let found = run("xtask", &["tools"], &["DEV_PORT", "TEST_PORT", "PG_BIN", "INSTALL"]);
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

#[test]
fn packages_are_installed_only_when_the_user_agrees() {
    // A machine without a C compiler, and with a package manager that has none.
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    for (name, script) in [("apt-get", "echo \"$*\" >>\"$0.calls\"; [ \"$1\" = update ]"), ("sudo", "shift; \"$@\"")] {
        fs::write(file(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink(which("sh"), file("sh")).unwrap();
    let calls = || fs::read_to_string(file("apt-get.calls")).unwrap_or_default();
    let run = |mut command: Command, install: &str, answer: &str| {
        fs::write(file("answer"), answer).unwrap();
        command.env("PATH", folder.path()).env("INSTALL", install).env_remove("CARGO_MANIFEST_DIR");
        let output = command.current_dir(root()).stdin(File::open(file("answer")).unwrap()).output().unwrap();
        assert!(!output.status.success() && text(&output).contains("cc is missing"), "{}", text(&output));
        text(&output)
    };
    let xtask = program("xtask").unwrap();
    let without_terminal = || {
        let mut command = Command::new(&xtask);
        command.arg("tools");
        command
    };
    let on_terminal = || {
        let mut command = Command::new(which("python3"));
        command.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"]).arg(&xtask).arg("tools");
        command
    };

    assert!(run(without_terminal(), "", "y\n").contains("set INSTALL to yes"));
    assert!(run(without_terminal(), "no", "y\n").contains("INSTALL is no"));
    assert!(run(on_terminal(), "no", "y\n").contains("INSTALL is no"));
    let asked = run(on_terminal(), "", "n\n");
    assert!(asked.contains("apt-get install") && asked.contains("[y/N]"), "{asked}");
    assert_eq!(calls(), "");
    for (command, install) in [(on_terminal(), "ask"), (without_terminal(), "yes")] {
        let _ = fs::remove_file(file("apt-get.calls"));
        run(command, install, "y\n");
        assert!(calls().starts_with("update") && calls().trim_end().ends_with("gcc"), "{}", calls());
    }
    let refused = without_terminal().env("INSTALL", "maybe").current_dir(root()).output().unwrap();
    assert!(text(&refused).contains("INSTALL is maybe"), "{}", text(&refused));
}
