//! The workspace: its packages, the routes it lists, and what `make test` says about the stack.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use cargo_metadata::{Metadata, MetadataCommand};
use reqwest::Method;
use serde_json::Value;

/// A row of the router in `Cargo.toml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// With placeholders: `/users/{user_id}`.
    pub path: String,
    pub method: String,
    pub function: String,
}

impl Route {
    pub fn method(&self) -> Method {
        self.method.parse().expect("a method")
    }

    /// Whether it requires a token: everything below `/users/{user_id}` does.
    pub fn is_protected(&self) -> bool {
        self.path.contains("{user_id}")
    }

    /// The path with these ids filled in; the session is the current one, the version an old one. A function that serves
    /// assets has a script of its own name.
    pub fn path_of(&self, user: &str, task: &str) -> String {
        let script = format!("{}.js", self.function);
        let path = self.path.replace("{user_id}", user).replace("{task_id}", task);
        path.replace("{session_id}", "current").replace("{version}", "old").replace("{asset}", &script)
    }
}

/// The checkout that is tested: the one the tests run in, which need not be the one they were built in.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| cli::checkout().expect("a checkout"));
    &ROOT
}

/// An environment variable that the command that runs the tests sets.
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test` sets it"))
}

/// The OpenAPI document.
pub fn openapi() -> Value {
    let text = fs::read_to_string(root().join("functions/docs/assets/openapi.json")).expect("the document");
    serde_json::from_str(&text).expect("JSON")
}

pub fn metadata() -> Metadata {
    metadata_of(root())
}

fn metadata_of(checkout: &Path) -> Metadata {
    MetadataCommand::new().manifest_path(checkout.join("Cargo.toml")).no_deps().exec().expect("cargo metadata")
}

/// The functions that a library is linked into, by whatever way.
pub fn functions_that_link(library: &str) -> BTreeSet<String> {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).exec().expect("cargo metadata");
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let nodes = &metadata.resolve.as_ref().expect("the dependencies").nodes;
    let of: BTreeMap<_, _> = nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let links = |function: &cargo_metadata::PackageId| {
        let (mut rest, mut seen) = (vec![function], BTreeSet::new());
        while let Some(id) = rest.pop() {
            if seen.insert(id) {
                let linked = of[id]
                    .iter()
                    .filter(|it| it.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal));
                rest.extend(linked.map(|dependency| &dependency.pkg));
            }
        }
        seen.iter().any(|id| names[id].name == library)
    };
    let functions = root().join("functions");
    let functions = metadata.packages.iter().filter(|it| it.manifest_path.as_std_path().starts_with(&functions));
    functions.filter(|function| links(&function.id)).map(|function| function.name.to_string()).collect()
}

/// `[workspace.metadata.lambda.watch.router]` of `Cargo.toml`.
pub fn routes() -> Vec<Route> {
    routes_in(root())
}

/// The same of another checkout.
pub fn routes_in(checkout: &Path) -> Vec<Route> {
    let router = &metadata_of(checkout).workspace_metadata["lambda"]["watch"]["router"];
    let mut routes: Vec<Route> = router
        .as_object()
        .expect("a router")
        .iter()
        .flat_map(|(path, entries)| {
            entries.as_array().expect("a list of methods").iter().map(move |entry| {
                let text = |member: &str| entry[member].as_str().expect("a string").to_owned();
                Route { path: path.clone(), method: text("method"), function: text("function") }
            })
        })
        .collect();
    routes.sort();
    routes
}
