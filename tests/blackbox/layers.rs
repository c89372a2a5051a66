//! The layers and their dependencies, and that every list of the routes is the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use cargo_metadata::{DependencyKind, Metadata, Package};
use tests::{
    template::{self, template},
    workspace::{Route, metadata, root, routes},
};

/// Functions that the gateway does not call.
const ON_NO_ROUTE: [&str; 1] = ["pre-traffic"];

/// The packages in one folder of the workspace.
fn packages_in<'a>(metadata: &'a Metadata, folder: &str) -> Vec<&'a Package> {
    let folder = root().join(folder);
    metadata.packages.iter().filter(|package| package.manifest_path.as_std_path().starts_with(&folder)).collect()
}

/// A package's dependencies, without those of its tests and its build script.
fn dependencies(package: &Package) -> BTreeSet<&str> {
    let linked = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    linked.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn a_layer_depends_on_lower_layers_only() {
    let below = BTreeMap::from([
        ("domain", BTreeSet::new()),
        ("auth", BTreeSet::from(["domain"])),
        ("db", BTreeSet::from(["auth", "domain"])),
        ("api", BTreeSet::from(["auth", "db", "domain"])),
        ("mail", BTreeSet::from(["api", "auth", "db", "domain"])),
    ]);
    let metadata = metadata();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let layers = packages_in(&metadata, "shared");
    assert_eq!(
        layers.iter().map(|package| package.name.as_str()).collect::<BTreeSet<_>>(),
        below.keys().copied().collect()
    );
    for package in layers {
        let upward: Vec<_> = dependencies(package)
            .intersection(&ours)
            .filter(|name| !below[package.name.as_str()].contains(**name))
            .copied()
            .collect();
        assert!(upward.is_empty(), "{} depends on {upward:?}", package.name);
    }
    for package in packages_in(&metadata, "functions") {
        let allowed: BTreeSet<&str> = below.keys().copied().collect();
        let others: Vec<_> =
            dependencies(package).intersection(&ours).filter(|name| !allowed.contains(**name)).copied().collect();
        assert!(others.is_empty(), "{} depends on {others:?}", package.name);
    }
}

#[test]
fn a_function_is_built_with_what_the_cloud_needs_unless_told_otherwise() {
    for package in packages_in(&metadata(), "functions") {
        let layer = if dependencies(package).contains("mail") { "mail" } else { "api" };
        assert_eq!(package.features["default"], [format!("{layer}/cloud")], "{}", package.name);
    }
}

#[test]
fn each_external_system_is_known_to_one_layer_only() {
    let owners = [
        ("lambda_http", vec!["api"]),
        ("tokio-postgres", vec!["db"]),
        ("postgres-native-tls", vec!["db"]),
        ("jsonwebtoken", vec!["auth"]),
        ("bcrypt", vec!["auth"]),
        ("aws-config", vec!["api", "mail", "pre-traffic"]),
        ("aws-sdk-codedeploy", vec!["pre-traffic"]),
        ("aws-sdk-lambda", vec!["pre-traffic"]),
        ("aws-sdk-sesv2", vec!["mail"]),
        ("lettre", vec!["mail"]),
        ("aws-sdk-ssm", vec!["api"]),
        ("sqlx", vec![]),
    ];
    let metadata = metadata();
    let mut deployed = packages_in(&metadata, "shared");
    deployed.extend(packages_in(&metadata, "functions"));
    for (library, layers) in owners {
        let users: Vec<_> = deployed.iter().filter(|package| dependencies(package).contains(library)).collect();
        assert_eq!(users.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), layers, "{library}");
    }
}

#[test]
fn every_list_of_the_routes_is_the_same() {
    let router = routes();
    assert_eq!(routes_of_the_readme(), router, "the table in README.md, against the router in Cargo.toml");
    assert_eq!(template::routes(&template()), router, "template.yaml, against the router in Cargo.toml");

    let metadata = metadata();
    let functions = packages_in(&metadata, "functions");
    let binaries: BTreeSet<String> = functions
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin() && !ON_NO_ROUTE.contains(&target.name.as_str()))
        .map(|target| target.name.clone())
        .collect();
    assert_eq!(binaries, router.iter().map(|route| route.function.clone()).collect());

    for function in binaries {
        let source = fs::read_to_string(root().join("functions").join(&function).join("src/main.rs")).unwrap();
        let rows = source.lines().map_while(|line| line.strip_prefix("//! `")?.split_once("`: "));
        let rows: BTreeSet<String> = rows.map(|(row, _)| row.to_owned()).collect();
        let routes = router.iter().filter(|route| route.function == function);
        let routes: BTreeSet<String> = routes.map(|Route { method, path, .. }| format!("{method} {path}")).collect();
        assert_eq!(rows, routes, "the first lines of functions/{function}/src/main.rs, against the router");
    }
}

/// The rows `| METHOD /path | function | …` of `README.md`.
fn routes_of_the_readme() -> Vec<Route> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        let (method, path) =
            cells.next()?.split_once(' ').map(|(method, path)| (method.to_owned(), path.to_owned()))?;
        Some(Route { method, path, function: cells.next()? })
    });
    let mut routes: Vec<Route> = rows.filter(|route| route.path.starts_with('/')).collect();
    routes.sort();
    routes
}
