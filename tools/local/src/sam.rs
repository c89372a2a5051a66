//! The template: checked, built, and run in containers, with AWS's own tools.

use std::process::Command;

use anyhow::Result;

use crate::process::run;
use crate::profile::root;
use crate::tools;

/// Checks the template. What a tool finds and is not changed has its reason beside it: in the template's metadata, and
/// in `.checkov.yaml`.
pub(crate) fn lint() -> Result<u8> {
    let sam = tools::sam()?;
    let mut validate = Command::new(sam.join("sam"));
    validate.args(["validate", "--lint"]);
    let mut cfn_lint = Command::new(sam.join("cfn-lint"));
    cfn_lint.arg("template.yaml");
    let mut checkov = Command::new(tools::checkov()?.join("checkov"));
    checkov.args([
        "--file",
        "template.yaml",
        "--framework",
        "cloudformation",
        "--skip-download",
        "--compact",
        "--quiet",
    ]);
    for mut check in [validate, cfn_lint, checkov] {
        if !run(offline(&mut check).current_dir(root()))?.success() {
            return Ok(1);
        }
    }
    Ok(0)
}

/// Neither reports of how they are used, nor questions to an account that nobody has here.
fn offline(command: &mut Command) -> &mut Command {
    command.env("SAM_CLI_TELEMETRY", "0").env("AWS_EC2_METADATA_DISABLED", "true")
}
