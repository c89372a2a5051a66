//! What `sam build` writes: a template, and a package for each function.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use gateway::template::Template;

use crate::{
    programs::{cargo_lambda, sam},
    stage::{Stage, StageConfig},
    store::{Settings, versions_of_functions},
};

/// Given to `sam` explicitly: `samconfig.toml` could name another folder than the one that is stamped and deployed.
const FOLDER: &str = ".aws-sam/build";

/// The built template.
pub(crate) const TEMPLATE: &str = ".aws-sam/build/template.yaml";

/// Builds every function. The parameters decide for which processor.
pub(crate) fn build(
    stage: &Stage,
    config: &StageConfig,
    parameters: &[String],
    settings: &Settings,
    rollbacks: u32,
) -> anyhow::Result<()> {
    let template = Template::read(Path::new("template.yaml"))?;
    // `sam build` builds one function after the other, and each is optimised as a whole on one processor. So all are built
    // at once before, in the way that it does it.
    let mut compile = vec!["build", "--release"];
    if config.architecture() == "arm64" {
        compile.push("--arm64");
    }
    let resources = template.json()["Resources"].as_object().into_iter().flat_map(|resources| resources.values());
    let programs = resources.filter_map(|resource| resource["Metadata"]["BuildProperties"]["Binary"].as_str());
    compile.extend(programs.flat_map(|program| ["--bin", program]));
    cargo_lambda(compile)?;
    let build = ["build", "--config-env", &stage.to_string(), "--build-dir", FOLDER].map(str::to_owned);
    sam([&build, parameters].concat())?;
    stamp(Path::new(FOLDER), settings, rollbacks)
}

/// Writes the versions of the settings into each function's package. So a changed setting changes every package, and
/// the deployment restarts every function: they read settings only at start-up. After a rollback, of which CloudFormation
/// knows nothing, the deployment moves every alias, also of functions whose code is the same.
fn stamp(folder: &Path, settings: &Settings, rollbacks: u32) -> anyhow::Result<()> {
    let mut versions = versions_of_functions(settings);
    versions.insert("rollbacks", rollbacks.into());
    let text = serde_json::to_string(&versions)?;
    let mut stamped = 0;
    for entry in fs::read_dir(folder)
        .with_context(|| format!("cannot read {}, where `sam build` should have written", folder.display()))?
    {
        let package = entry?.path();
        if package.join("bootstrap").is_file() {
            fs::write(package.join("settings.json"), &text)
                .with_context(|| format!("cannot write to {}", package.display()))?;
            stamped += 1;
        }
    }
    ensure!(stamped > 0, "`sam build` wrote no function to {}", folder.display());
    println!("  {stamped} functions built");
    Ok(())
}
