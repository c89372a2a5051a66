use anyhow::{Context, ensure};

use super::keys::ensure_keys;
use crate::{
    address::{Address, Host, generate_password},
    database::{CONNECT_TIMEOUT, NEW_PASSWORD_TIMEOUT, ca_file, check_login},
    prompt,
    setting::Setting,
    store::{Store, Stored},
};

pub(crate) struct Options {
    /// Overwrite what is stored without asking.
    pub(crate) overwrite: bool,
    /// Change the password of the functions' role.
    pub(crate) renew: bool,
    /// The pooler's `HOST:PORT`, if it is not Neon's.
    pub(crate) pooler: Option<String>,
}

/// Asks for the owner's address of the database, creates the functions' role there, and stores the addresses of both.
/// Creates the keys if there are none.
///
/// A different answer overwrites what is stored only after a confirmation. The role keeps its stored password. So a
/// repeat repairs what is wrong and changes nothing else.
pub(crate) async fn set(store: &Store, options: &Options) -> anyhow::Result<()> {
    let stored = store.read(&Setting::REQUIRED).await?;
    let parse = |setting| stored.get(&setting).and_then(|stored| Address::parse(&stored.value).ok());
    let (old_functions, old_owner) = (parse(Setting::DatabaseUrl), parse(Setting::DatabaseUrlUnpooled));

    let owner = ask(store, stored.get(&Setting::DatabaseUrlUnpooled), options.overwrite)?;
    let role = migrate::functions_role(owner.database());
    // Of the same database; by the first release the functions logged in as the owner.
    let old_here =
        old_functions.as_ref().filter(|_| old_owner.as_ref().is_some_and(|old| old.is_same_database(&owner)));
    let pooler = match &options.pooler {
        Some(pooler) => Host::parse(pooler).context("POOLER")?,
        None => owner.host().neon_pooler().or(old_here.map(Address::host)).unwrap_or_else(|| owner.host()),
    };
    let kept = old_here.filter(|old| old.user() == role).and_then(Address::generated_password);
    let password = kept.map_or_else(generate_password, str::to_owned);
    let functions = owner.with_role(&role, &password)?.with_host(&pooler)?;
    let database = ensure_role(&owner, &functions, &password).await.context("nothing was stored")?;
    for (setting, old, new) in
        [(Setting::DatabaseUrl, &old_functions, &functions), (Setting::DatabaseUrlUnpooled, &old_owner, &owner)]
    {
        match stored.get(&setting) {
            Some(stored) if old.as_ref() == Some(new) => {
                println!("{} is unchanged (version {})", store.name(setting), stored.version);
            }
            _ => store.put(setting, new.as_str()).await?,
        }
    }
    if options.renew && kept.is_some() {
        let password = generate_password();
        let functions = functions.with_role(&role, &password)?;
        // Stored first: a function that is refused reads it again at once.
        store.put(Setting::DatabaseUrl, functions.as_str()).await?;
        let renewed = async {
            database.ensure_role(&password).await?;
            // This login also teaches the pooler the new password, before it opens a connection with the old one, is
            // refused and pauses.
            check_login(functions.as_str(), NEW_PASSWORD_TIMEOUT).await
        };
        renewed.await.context("the new password is stored, but may not work yet: run this again without RENEW")?;
    }
    ensure_keys(store, &stored).await?;
    println!("\nNext: make deploy STAGE={}", store.stage);
    Ok(())
}

/// Asks for the owner's address, and returns it, or the stored one, at the direct endpoint.
fn ask(store: &Store, stored: Option<&Stored>, overwrite: bool) -> anyhow::Result<Address> {
    const WHAT: &str = "the address of the database as its owner";
    let name = store.name(Setting::DatabaseUrlUnpooled);
    let parse = |value: &str| {
        let address = Address::parse(value).and_then(Address::direct)?;
        Setting::DatabaseUrlUnpooled.validate(address.as_str())?;
        anyhow::Ok(address)
    };
    let keep = if stored.is_some() { ", empty to keep the stored one" } else { "" };
    let answer = prompt::secret(&format!("{name}, {WHAT}{keep}: "))?;
    let Some(stored) = stored else {
        ensure!(!answer.is_empty(), "{name} is not stored yet: {WHAT} is needed");
        return parse(&answer).with_context(|| format!("{name} was not stored"));
    };
    let old = parse(&stored.value);
    if answer.is_empty() {
        return old.context(name);
    }
    let new = parse(&answer).with_context(|| format!("{name} was not stored"))?;
    let question = format!("{name} is stored (version {}). Overwrite it?", stored.version);
    if old.as_ref().is_ok_and(|old| *old == new) || overwrite || prompt::confirm(&question)? {
        Ok(new)
    } else {
        old.context(name)
    }
}

/// Creates or updates the functions' role as the owner, and checks that the functions can log in.
async fn ensure_role(owner: &Address, functions: &Address, password: &str) -> anyhow::Result<migrate::Database> {
    let endpoint = migrate::Endpoint::new(owner.as_str(), ca_file().as_deref())?;
    let database = migrate::Database::connect(&endpoint, CONNECT_TIMEOUT).await?;
    let role = database.ensure_role(password).await?;
    ensure!(role == functions.user(), "the functions' role of {:?} is {role}, not as expected", owner.database());
    println!("the functions' role {role} reads and writes rows, within limits");
    check_login(functions.as_str(), NEW_PASSWORD_TIMEOUT).await?;
    Ok(database)
}
