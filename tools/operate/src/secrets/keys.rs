use anyhow::Context;
use auth::SigningKey;

use crate::{
    setting::Setting,
    store::{Settings, Store, Stored},
};

/// Creates the keys that are missing. The public key goes first: it has to be there when the first token is signed.
pub(super) async fn ensure_keys(store: &Store, stored: &Settings) -> anyhow::Result<()> {
    let public = stored.get(&Setting::JwtPublicKeys);
    if let Some(signing) = stored.get(&Setting::JwtSigningKey) {
        let own = public_key(store, Setting::JwtSigningKey, signing)?;
        if public.is_some_and(|public| contains(&public.value, &own)) {
            println!("{} is unchanged: `make rotate-keys` changes it", store.name(Setting::JwtSigningKey));
            return Ok(());
        }
        return store.put(Setting::JwtPublicKeys, &append(public, &own)).await;
    }
    let key = SigningKey::generate()?;
    store.put(Setting::JwtPublicKeys, &append(public, &key.public().to_string())).await?;
    store.put(Setting::JwtSigningKey, &key.to_secret()?).await
}

/// The public key of a stored signing key.
pub(super) fn public_key(store: &Store, setting: Setting, stored: &Stored) -> anyhow::Result<String> {
    let key: SigningKey = stored.value.parse().with_context(|| store.name(setting))?;
    Ok(key.public().to_string())
}

pub(super) fn contains(public_keys: &str, key: &str) -> bool {
    public_keys.split(',').any(|listed| listed.trim() == key)
}

pub(super) fn append(public_keys: Option<&Stored>, key: &str) -> String {
    public_keys.map_or_else(|| key.to_owned(), |keys| format!("{},{key}", keys.value))
}
