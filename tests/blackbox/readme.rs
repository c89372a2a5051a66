//! The README's walk-through, as written.

use std::{fs, process::Command};

use serde_json::Value;
use tests::workspace::root;

/// The walk-through is the only block of this kind.
fn walk_through() -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```sh walk-through\n").expect("a walk-through");
    rest.split_once("```").expect("an end").0.to_owned()
}

/// `sh` is dash on Debian and its kin, which has nothing but what POSIX asks of a shell.
#[test]
fn the_walk_through_works_as_typed_in_every_shell() {
    walk_in("sh");
    walk_in("bash");
}

fn walk_in(shell: &str) {
    // `set -x` would show the token; the replies alone tell what happened.
    let output = Command::new(shell)
        .args(["-euc", &walk_through()])
        .env("API", std::env::var("API_URL").unwrap())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");

    // Each on a line of its own, so that the prompt comes after them.
    assert!(stdout.ends_with('\n'), "{stdout}");
    let replies: Vec<Value> = stdout.lines().map(|reply| serde_json::from_str(reply).expect("JSON")).collect();
    let [account, created, list, completed] = &replies[..] else { panic!("four replies with a body: {stdout}") };
    assert!(account["email"].as_str().unwrap().ends_with("@example.com"));
    assert_eq!(created["title"], "Buy milk");
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&completed["id"], &completed["completed"]), (&created["id"], &Value::Bool(true)));
}
