use anyhow::{Context, bail, ensure};

use super::keys;
use crate::{
    address::Address,
    database::{LOGIN_TIMEOUT, check_login},
    setting::Setting,
    store::{Settings, Store},
};

/// The settings a stage is deployed with.
///
/// # Errors
/// One is missing or invalid, they do not fit together, or the functions cannot log in to the database.
pub(crate) async fn check(store: &Store) -> anyhow::Result<Settings> {
    let stored = store.read(&Setting::REQUIRED).await?;
    let [Some(functions), Some(owner), Some(signing), Some(public)] =
        Setting::REQUIRED.map(|setting| stored.get(&setting))
    else {
        let missing = Setting::REQUIRED.into_iter().filter(|setting| !stored.contains_key(setting));
        let names: Vec<_> = missing.map(|setting| store.name(setting)).collect();
        bail!("{} is not stored in {}: run `make secrets STAGE={}`", names.join(", "), store.region, store.stage);
    };
    for (setting, stored) in &stored {
        setting.validate(&stored.value).with_context(|| store.name(*setting))?;
    }
    ensure!(
        keys::contains(&public.value, &keys::public_key(store, Setting::JwtSigningKey, signing)?),
        "{} does not have the public key of {}: every token would be refused",
        store.name(Setting::JwtPublicKeys),
        store.name(Setting::JwtSigningKey)
    );
    let name = store.name(Setting::DatabaseUrl);
    check_same_database(&functions.value, &owner.value).with_context(|| name.clone())?;
    if let Err(error) = check_login(&functions.value, LOGIN_TIMEOUT).await {
        bail!("{name}: {error:#}: run `make secrets STAGE={}`, where an empty answer keeps the database", store.stage);
    }
    Ok(stored)
}

/// Migrations must run on the database that the functions use.
fn check_same_database(functions: &str, owner: &str) -> anyhow::Result<()> {
    let (functions, owner) = (Address::parse(functions)?.direct()?, Address::parse(owner)?.direct()?);
    // Elsewhere the pooler's host need not tell the database's.
    let is_neon = owner.host().neon_pooler().is_some() && functions.host().neon_pooler().is_some();
    ensure!(!is_neon || functions.is_same_database(&owner), "it and the owner's address are of different databases");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_must_be_of_one_database() {
        let url =
            |host: &str, database: &str| format!("postgresql://owner:x@{host}.eu-central-1.aws.neon.tech/{database}");
        let pooled = url("ep-calm-sea-1-pooler", "task_api");
        check_same_database(&pooled, &url("ep-calm-sea-1", "task_api")).unwrap();
        check_same_database("postgresql://u@pooler.example/d", &url("ep-calm-sea-1", "task_api")).unwrap();
        for other in [url("ep-wild-sea-2", "task_api"), url("ep-calm-sea-1", "neondb")] {
            assert!(check_same_database(&pooled, &other).is_err(), "{other}");
        }
    }
}
