//! Makes the code of an earlier deployment live again, without a build and without CodeDeploy, which refuses while an alarm
//! rings.

use anyhow::ensure;

use crate::{
    database::connect_as_owner, deployments::Deployments, released::Released, setting::Setting, smoke, stack::Stack,
    stage::Stage, store::Store,
};

/// Goes back to the deployment before, or to that of a commit, as far as the schema still serves it.
pub(crate) async fn run(stage: &Stage, commit: Option<&str>) -> anyhow::Result<()> {
    let config = stage.config()?;
    let aws = config.aws().await?;
    let (store, stack) = (Store::new(stage, &aws), Stack::new(stage, &config, &aws));
    stack.ensure_at_rest().await?;
    let mut deployments = Deployments::read(&store).await?;
    let target = deployments.go_back(&stack.live().await?, commit)?.clone();
    println!("{stage} goes back to {}", target.title());

    let settings = store.read(&[&Setting::OF_FUNCTIONS[..], &[Setting::DatabaseUrlUnpooled]].concat()).await?;
    let database = connect_as_owner(&settings).await?;
    if let Some((migration, oldest)) = database.oldest_release_served().await? {
        ensure!(target.release >= oldest, "{migration} has taken away what releases before {oldest} need");
    }

    // Before the first function moves: if a later one does not, this command leads to the same deployment again.
    deployments.write(&store).await?;
    stack.go_live(&target.functions).await?;
    database.record_release(&target.release).await?;
    // Execution environments of its versions may be left, with the settings of then.
    Released::keep(&store, |setting| settings.get(&setting).is_some_and(|it| target.had_read(setting, it.version)))
        .await?;
    let url = stack.url().await?;
    smoke::run(&url, config.allowed_origin().as_deref()).await?;
    println!("\n{} is live: {url}\nThe next `make deploy STAGE={stage}` replaces it.", target.title());
    Ok(())
}
