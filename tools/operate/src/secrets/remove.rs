use anyhow::ensure;

use crate::{prompt, setting::Setting, store::Store};

/// Removes everything that is stored for the stage.
pub(crate) async fn remove(store: &Store, confirmed: bool) -> anyhow::Result<()> {
    let question = format!("Remove every secret of {} in {}?", store.stage, store.region);
    ensure!(confirmed || prompt::confirm(&question)?, "nothing was removed");
    let optional = [Setting::JwtSigningKeyNext, Setting::Released, Setting::Deployments];
    for name in store.remove(&[&Setting::REQUIRED[..], &optional].concat()).await? {
        println!("{name} removed");
    }
    Ok(())
}
