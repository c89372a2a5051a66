//! The README's walk-through, as written.

use std::{fs, process::Command};

use serde_json::Value;
use tests::workspace::{root, variable};

/// The README's.
fn walk_through() -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```sh walk-through\n").expect("a walk-through");
    rest.split_once("```").expect("an end").0.to_owned()
}

/// `sh` is dash on Debian and Ubuntu, which has only what POSIX requires.
#[test]
fn the_walk_through_works_as_typed_in_every_shell() {
    for shell in ["sh", "bash"] {
        let stdout = run_in(shell, &walk_through());
        // Each reply on a line of its own, so that the prompt does not follow one.
        assert!(stdout.ends_with('\n') && stdout.lines().count() == 4, "{stdout}");
    }
}

#[test]
fn the_walk_through_of_the_first_release_still_works() {
    run_in("bash", &fs::read_to_string(root().join("tests/first_release/walk-through.sh")).unwrap());
}

/// Runs a walk-through; what it prints.
fn run_in(shell: &str, walk_through: &str) -> String {
    let output = Command::new(shell).args(["-euc", walk_through]).env("API", variable("API_URL")).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");

    let replies = serde_json::Deserializer::from_str(&stdout).into_iter::<Value>();
    let replies: Vec<Value> = replies.map(|reply| reply.expect("JSON")).collect();
    let [account, created, list, completed] = &replies[..] else { panic!("four replies with a body: {stdout}") };
    assert!(account["email"].as_str().unwrap().ends_with("@example.com"));
    assert_eq!(created["title"], "Buy milk");
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&completed["id"], &completed["completed"]), (&created["id"], &Value::Bool(true)));
    stdout.into_owned()
}
