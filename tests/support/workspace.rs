//! The workspace itself: its packages and the routes it lists.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use cargo_metadata::{Metadata, MetadataCommand};
use reqwest::Method;

/// A row of the router.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The path, with its ids by name: `/users/{user_id}`.
    pub path: String,
    /// The method.
    pub method: String,
    /// The function that serves it.
    pub function: String,
}

impl Route {
    /// The method as a client sends it.
    pub fn method(&self) -> Method {
        self.method.parse().expect("a method")
    }

    /// Whether it is below `/users/{user_id}`, and so asks for a token.
    pub fn is_protected(&self) -> bool {
        self.path.contains("{user_id}")
    }

    /// The path with these ids in it. A function that serves assets has a script of its own name.
    pub fn path_of(&self, user: &str, task: &str) -> String {
        let script = format!("{}.js", self.function);
        self.path.replace("{user_id}", user).replace("{task_id}", task).replace("{asset}", &script)
    }
}

/// The checkout that is tested: the one that the tests are run in, which need not be the one they were built in.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| cli::checkout().expect("a checkout"));
    &ROOT
}

/// What cargo knows of the workspace.
pub fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata")
}

/// `[workspace.metadata.lambda.watch.router]` of `Cargo.toml`.
pub fn routes() -> Vec<Route> {
    let router = &metadata().workspace_metadata["lambda"]["watch"]["router"];
    let mut routes: Vec<Route> = router
        .as_object()
        .expect("a router")
        .iter()
        .flat_map(|(path, entries)| {
            entries.as_array().expect("a list of methods").iter().map(move |entry| {
                let text = |member: &str| entry[member].as_str().expect("a text").to_owned();
                Route { path: path.clone(), method: text("method"), function: text("function") }
            })
        })
        .collect();
    routes.sort();
    routes
}
