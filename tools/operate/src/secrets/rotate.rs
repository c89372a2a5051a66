use std::time::Duration;

use anyhow::{Context, bail, ensure};
use auth::SigningKey;

use super::keys::{append, contains, public_key};
use crate::{
    released::{Released, unix_time},
    setting::Setting,
    store::Store,
};

/// A step of a key rotation. Each can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// Create a new key, and accept its tokens beside those of the old one.
    Accept,
    /// Sign with the new key.
    Sign,
    /// Accept only tokens of the new key.
    Drop,
}

/// Takes one step of a rotation. `now` skips the waits between the steps, so that tokens are refused: for a key that has
/// leaked.
pub(crate) async fn rotate(store: &Store, step: Step, lifetime: Duration, now: bool) -> anyhow::Result<()> {
    let [signing_key, public_keys, next_key, released] =
        [Setting::JwtSigningKey, Setting::JwtPublicKeys, Setting::JwtSigningKeyNext, Setting::Released];
    let stored = store.read(&[signing_key, public_keys, next_key, released]).await?;
    let (Some(signing), Some(public)) = (stored.get(&signing_key), stored.get(&public_keys)) else {
        bail!("{} has no keys yet: run `make secrets STAGE={0}`", store.stage);
    };
    let next = stored.get(&next_key);
    let released = Released::parse(stored.get(&released))?;
    let rotate = |step: &str| format!("make rotate-keys STAGE={} STEP={step}", store.stage);
    let deploy = format!("make deploy STAGE={}", store.stage);

    match step {
        Step::Accept => {
            let new = match next {
                Some(next) => public_key(store, next_key, next)?,
                None => {
                    let key = SigningKey::generate()?;
                    store.put(next_key, &key.to_secret()?).await?;
                    key.public().to_string()
                }
            };
            if contains(&public.value, &new) {
                println!("{} already has both keys", store.name(public_keys));
            } else {
                store.put(public_keys, &append(Some(public), &new)).await?;
            }
            println!("\nNext: {deploy}\nThen: {}", rotate("sign"));
        }
        Step::Sign => {
            let Some(next) = next else { bail!("there is no new key: run `{}` first", rotate("accept")) };
            let new = public_key(store, next_key, next)?;
            ensure!(contains(&public.value, &new), "the new key is not accepted yet: run `{}` first", rotate("accept"));
            ensure!(
                now || released.since(public_keys, public.version).is_some(),
                "running functions may not accept the new key yet: run `{deploy}` first"
            );
            if signing.value != next.value {
                store.put(signing_key, &next.value).await?;
            }
            for name in store.remove(&[next_key]).await? {
                println!("{name} removed: it is the signing key now");
            }
            println!("\nNext: {deploy}\nThen, {} s later: {}", lifetime.as_secs(), rotate("drop"));
        }
        Step::Drop => {
            ensure!(next.is_none(), "the new key does not sign yet: run `{}` first", rotate("sign"));
            let own = public_key(store, signing_key, signing)?;
            if public.value == own {
                println!("{} already has the signing key alone", store.name(public_keys));
                return Ok(());
            }
            if !now {
                let since = released
                    .since(signing_key, signing.version)
                    .with_context(|| format!("running functions may sign with the old key: run `{deploy}` first"))?;
                let left = (since + lifetime).saturating_sub(unix_time());
                ensure!(left.is_zero(), "tokens of the old key are valid for {} s more: wait", left.as_secs().max(1));
            }
            store.put(public_keys, &own).await?;
            println!("\nNext: {deploy}");
        }
    }
    Ok(())
}
