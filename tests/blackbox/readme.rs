//! The README's walk-through, as written.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

/// The walk-through is the only block of this kind.
fn walk_through() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md")).unwrap();
    let (_, rest) = readme.split_once("```sh walk-through\n").expect("a walk-through");
    rest.split_once("```").expect("an end").0.to_owned()
}

#[test]
fn the_walk_through_works_as_typed() {
    // `set -x` would show the token; the replies alone tell what happened.
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &walk_through()])
        .env("API", std::env::var("API_URL").unwrap())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");

    let replies: Vec<Value> =
        serde_json::Deserializer::from_str(&stdout).into_iter().map(|reply| reply.expect("JSON")).collect();
    let [account, created, list, completed] = &replies[..] else { panic!("four replies with a body: {stdout}") };
    assert!(account["email"].as_str().unwrap().ends_with("@example.com"));
    assert_eq!(created["title"], "Buy milk");
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&completed["id"], &completed["completed"]), (&created["id"], &Value::Bool(true)));
}
