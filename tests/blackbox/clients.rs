//! Generators and validators can use the OpenAPI document: the clients they make are typed, and work.

use std::{env, ffi::OsString, fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    command::Output,
    workspace::{openapi, root, variable},
};

/// A user's project: the OpenAPI document, a program of `tests/clients`, and what npm and pip have installed.
struct Project {
    folder: TempDir,
    path: OsString,
}

impl Project {
    /// With the document alone.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(root().join("functions/docs/assets/openapi.json"), folder.path().join("openapi.json")).unwrap();
        let programs = ["OPENAPI_TYPESCRIPT", "OPENAPI_PYTHON_CLIENT"].map(|name| PathBuf::from(variable(name)));
        let [npm, python] = programs.each_ref().map(|program| program.parent().unwrap());
        symlink(npm.parent().unwrap(), folder.path().join("node_modules")).unwrap();
        let others = env::var_os("PATH").unwrap_or_default();
        let path = [npm, python].into_iter().map(PathBuf::from).chain(env::split_paths(&others));
        Self { folder, path: env::join_paths(path).unwrap() }
    }

    fn with_program(language: &str) -> Self {
        let project = Self::new();
        for file in fs::read_dir(root().join("tests/clients").join(language)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), project.folder.path().join(file.file_name())).unwrap();
        }
        project
    }

    /// Runs a shell script that has to succeed; what it prints.
    fn run(&self, script: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(self.folder.path()).env("PATH", &self.path);
        Output::from(shell.output().unwrap()).success()
    }
}

/// Every schema of the document, those inside others as well, by its place.
fn schemas(document: &Value) -> Vec<(String, &Value)> {
    let is_schema =
        Regex::new("/(schema|items|additionalProperties|(schemas|properties|allOf|anyOf|oneOf)/[^/]+)$").unwrap();
    let mut schemas = Vec::new();
    let mut rest = vec![(String::new(), document)];
    while let Some((place, value)) = rest.pop() {
        let members = value.as_object().into_iter().flatten().map(|(name, member)| (name.clone(), member));
        let elements = value.as_array().into_iter().flatten().enumerate().map(|(i, element)| (i.to_string(), element));
        let children = members.chain(elements).filter(|(name, _)| !matches!(&**name, "example" | "examples"));
        rest.extend(children.map(|(name, child)| (format!("{place}/{name}"), child)));
        if value.is_object() && is_schema.is_match(&place) {
            schemas.push((place, value));
        }
    }
    assert!(schemas.len() > 100, "{schemas:?}");
    schemas
}

#[test]
fn every_schema_has_a_type() {
    for (place, schema) in schemas(&openapi()) {
        let is_typed = ["$ref", "type", "allOf", "anyOf", "oneOf"].iter().any(|keyword| schema.get(keyword).is_some());
        assert!(is_typed, "{place}: {schema}");
    }
}

#[test]
fn every_pattern_is_read_by_javascript_python_and_rust() {
    let document = openapi();
    let patterns: Vec<_> = schemas(&document).iter().filter_map(|(_, schema)| schema["pattern"].as_str()).collect();
    for pattern in &patterns {
        Regex::new(pattern).unwrap();
    }
    let project = Project::new();
    fs::write(project.folder.path().join("patterns.json"), serde_json::to_string(&patterns).unwrap()).unwrap();
    project.run(
        "node -e 'for (const pattern of require(\"./patterns.json\")) RegExp(pattern), RegExp(pattern, \"u\")'
         python3 -c 'import json, re; [re.compile(pattern) for pattern in json.load(open(\"patterns.json\"))]'",
    );
}

#[test]
fn openapi_typescript_makes_a_client_that_works() {
    let project = Project::with_program("typescript");
    project.run("openapi-typescript openapi.json --output task-api.d.ts");
    project.run("tsc");
    assert_eq!(project.run("node walk.ts"), "walked through 3 tasks\n");
}

#[test]
fn openapi_python_client_makes_a_client_that_works() {
    let project = Project::with_program("python");
    project
        .run("openapi-python-client generate --fail-on-warning --path openapi.json --meta none --output-path task_api");
    project.run("mypy walk.py");
    assert_eq!(project.run("python3 walk.py"), "walked through 3 tasks\n");
}

#[test]
fn hey_api_finds_a_type_for_every_string() {
    let project = Project::new();
    project.run("openapi-ts --input openapi.json --output types --plugins @hey-api/typescript --no-log-file");
    let types = fs::read_to_string(project.folder.path().join("types/types.gen.ts")).unwrap();
    assert!(types.contains("export type Title = string;\n"), "{types}");
    for definition in types.split("export type ") {
        // A HEAD has no body, and an object may have members that the document does not name.
        if !definition.starts_with("HealthWithoutBody") {
            assert!(!definition.replace("[key: string]: unknown", "").contains("unknown"), "{definition}");
        }
    }
}
