//! Removes the stack of a stage.

use anyhow::ensure;

use crate::{programs::sam, prompt::confirm, stack::Stack, stage::Stage};

/// Asks first, unless `yes`. What the template retains, the secrets and the database stay.
pub(crate) async fn run(stage: &Stage, yes: bool) -> anyhow::Result<()> {
    let config = stage.config()?;
    let stack = Stack::new(stage, &config, &config.aws().await?);
    ensure!(stack.is_there().await?, "there is no stack {}", config.stack);
    ensure!(yes || confirm(&format!("Remove the stack {}, and so the API?", config.stack))?, "nothing was removed");
    stack.protect(false).await?;
    sam([&["delete", "--no-prompts"][..], &config.stack_arguments()].concat())
}
