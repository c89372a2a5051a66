//! A stage's secrets: stored after they were read as the functions read them, and rotated without a refused token.
//! No value is ever shown.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use auth::{PublicKeys, SigningKey};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    address::{Address, Place, random_password},
    stage::{Setting, Store, Stored},
};

/// How long the database may take to answer: one that is suspended wakes up first.
pub(crate) const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How long a password that was just set may be refused: a pooler that was refused itself pauses for 15 s.
const LOGIN_PATIENCE: Duration = Duration::from_secs(20);

/// How long one that was set before may be, by a proxy that has a moment's trouble.
const PASSING_TROUBLE: Duration = Duration::from_secs(3);

/// How soon a login that was refused is tried again.
const LOGIN_PAUSE: Duration = Duration::from_secs(1);

/// What a role may do, and its limits in milliseconds.
const ROLE: &str = "SELECT
    pg_has_role(current_user, datdba, 'MEMBER') OR has_schema_privilege('public', 'CREATE') AS may_change_schema,
    (SELECT setting::int8 FROM pg_settings WHERE name = 'statement_timeout') AS statement_timeout,
    (SELECT setting::int8 FROM pg_settings WHERE name = 'lock_timeout') AS lock_timeout
    FROM pg_database WHERE datname = current_database()";

/// The settings of a stage by name, and what was stored when.
type Settings = BTreeMap<Setting, Stored>;

/// What [`set`] is told beside the answers.
pub(crate) struct Wishes {
    /// Overwrite what is stored without asking.
    pub(crate) overwrite: bool,
    /// Give the functions' role another password.
    pub(crate) renew: bool,
    /// `HOST:PORT` of the pooler, where the database's own address does not tell.
    pub(crate) pooler: Option<String>,
}

/// Asks for the owner's address of the database, makes the functions' role there and stores the addresses of both;
/// makes the keys if there are none.
///
/// What is stored already stays, unless the answer is another value and either the terminal or the wishes agree. The
/// role's password stays while it is the stored one, so a repeat disturbs nobody and mends what is not as it should be.
pub(crate) async fn set(store: &Store, wishes: &Wishes) -> anyhow::Result<()> {
    let stored = store.read(Setting::NEEDED).await?;
    let read = |setting| stored.get(&setting).and_then(|stored| Address::read(&stored.value).ok());
    let (old, old_owner) = (read(Setting::DatabaseUrl), read(Setting::DatabaseUrlUnpooled));

    let owner = ask(store, stored.get(&Setting::DatabaseUrlUnpooled), wishes.overwrite)?;
    let role = migrate::functions_role(owner.database());
    // What is known of this database: the first release stored its owner's address for the functions.
    let old_here = old.as_ref().filter(|_| old_owner.as_ref().is_some_and(|old| old.leads_where(&owner)));
    let old_role = old_here.filter(|old| old.user() == role);
    let pooler = match &wishes.pooler {
        Some(pooler) => Place::read(pooler).context("POOLER")?,
        None => owner.place().of_neons_pooler().or(old_here.map(Address::place)).unwrap_or_else(|| owner.place()),
    };
    let kept = old_role.and_then(Address::own_password);
    let password = kept.map_or_else(random_password, str::to_owned);
    let functions = owner.as_role(&role, &password)?.at(&pooler)?;
    let mut database = make_role(&owner, &functions, &password).await.context("nothing was stored")?;
    for (setting, old, new) in
        [(Setting::DatabaseUrl, &old, &functions), (Setting::DatabaseUrlUnpooled, &old_owner, &owner)]
    {
        match stored.get(&setting) {
            Some(stored) if old.as_ref() == Some(new) => {
                println!("{} stays as it is (version {})", store.name(setting), stored.version);
            }
            _ => put(store, setting, new.as_str()).await?,
        }
    }
    if wishes.renew && kept.is_some() {
        let password = random_password();
        let functions = functions.as_role(&role, &password)?;
        // A function that is refused looks here at once, so the new password is here before it holds.
        put(store, Setting::DatabaseUrl, functions.as_str()).await?;
        let renewed = async {
            database.make_role(&password).await?;
            // This teaches the pooler the new password, too: with the old one it would open no connection any more, and
            // would not try again for a while.
            log_in(functions.as_str(), LOGIN_PATIENCE).await
        };
        renewed.await.context("the new password is stored, and not known to work: run this again without RENEW")?;
    }
    make_keys(store, &stored).await?;
    println!("\nNext: make deploy STAGE={}", store.stage);
    Ok(())
}

/// The owner's address at the direct endpoint: that of the answer, or the stored one.
fn ask(store: &Store, stored: Option<&Stored>, overwrite: bool) -> anyhow::Result<Address> {
    const WHAT: &str = "the address of the database as its owner";
    let name = store.name(Setting::DatabaseUrlUnpooled);
    let read = |value: &str| {
        let address = Address::read(value).and_then(Address::direct)?;
        check(Setting::DatabaseUrlUnpooled, address.as_str())?;
        anyhow::Ok(address)
    };
    let answers = Answers::new();
    let keeps = if stored.is_some() { ", nothing to keep what is stored" } else { "" };
    let answer = answers.secret(&format!("{name}, {WHAT}{keeps}: "))?;
    let Some(stored) = stored else {
        ensure!(!answer.is_empty(), "{name} is not stored yet: {WHAT} is needed");
        return read(&answer).with_context(|| format!("{name} was not stored"));
    };
    let old = read(&stored.value);
    if answer.is_empty() {
        return old.context(name);
    }
    let new = read(&answer).with_context(|| format!("{name} was not stored"))?;
    match old {
        Ok(old) if old == new => Ok(old),
        old => {
            let question = format!("{name} is stored (version {}). Overwrite it?", stored.version);
            if overwrite || answers.agree(&question)? { Ok(new) } else { old.context(name) }
        }
    }
}

/// Makes the functions' role as its owner, or mends it, and looks whether they get in with their address.
async fn make_role(owner: &Address, functions: &Address, password: &str) -> anyhow::Result<migrate::Database> {
    let endpoint = migrate::Endpoint::new(owner.as_str(), ca_file().as_deref())?;
    let mut database = migrate::Database::connect(&endpoint, CONNECT_PATIENCE).await?;
    let role = database.make_role(password).await?;
    ensure!(role == functions.user(), "the database's name is {:?}, and its functions' role {role}", owner.database());
    println!("{role} is the functions' role: it reads and writes rows, within limits");
    log_in(functions.as_str(), LOGIN_PATIENCE).await?;
    Ok(database)
}

/// Logs in as the functions do, and looks whether their role is one that cannot change the schema, and has its limits.
/// A refusal is believed after `patience`: a proxy that knows passwords by heart takes some seconds to learn a new one.
async fn log_in(url: &str, patience: Duration) -> anyhow::Result<()> {
    let config = db::Config::new(url, authorities()?.as_deref())?;
    let begun = Instant::now();
    let deadline = begun + CONNECT_PATIENCE;
    let (client, driver) = loop {
        let error = match timeout_at(deadline, config.connect()).await {
            Ok(Ok(connection)) => break connection,
            Ok(Err(error)) => error,
            Err(_) => bail!("the database does not answer the functions within {} s", CONNECT_PATIENCE.as_secs()),
        };
        if begun.elapsed() >= patience {
            return Err(error).context("the functions cannot log in");
        }
        sleep(LOGIN_PAUSE).await;
    };
    tokio::spawn(driver);
    let rows = timeout_at(deadline, client.query_typed(ROLE, &[])).await.context("the database does not answer")?;
    let rows = rows.context("the functions' role cannot be looked at")?;
    let row = rows.first().context("the functions' role cannot be looked at")?;
    let within = |limit: Duration, column| -> anyhow::Result<bool> {
        let milliseconds: i64 = row.try_get(column)?;
        // None is 0.
        Ok(u128::try_from(milliseconds).is_ok_and(|is| is > 0 && is <= limit.as_millis()))
    };
    ensure!(
        !row.try_get::<_, bool>("may_change_schema")?,
        "{} is a role that may change the schema, and not the functions' own",
        config.user()
    );
    ensure!(
        within(db::STATEMENT_TIMEOUT, "statement_timeout")? && within(db::LOCK_TIMEOUT, "lock_timeout")?,
        "the limits of the functions' role are not in force"
    );
    Ok(())
}

/// Makes the keys that are missing. The public key goes first: it must be there when the first token is signed.
async fn make_keys(store: &Store, stored: &Settings) -> anyhow::Result<()> {
    let public = stored.get(&Setting::JwtPublicKeys);
    if let Some(signing) = stored.get(&Setting::JwtSigningKey) {
        let own = read_signing_key(store, Setting::JwtSigningKey, signing)?.public().to_string();
        if public.is_some_and(|public| lists(&public.value, &own)) {
            println!("{} stays as it is: `make rotate-keys` changes it", store.name(Setting::JwtSigningKey));
            return Ok(());
        }
        return put(store, Setting::JwtPublicKeys, &joined(public, &own)).await;
    }
    let key = SigningKey::generate()?;
    put(store, Setting::JwtPublicKeys, &joined(public, &key.public().to_string())).await?;
    put(store, Setting::JwtSigningKey, &key.to_secret()?).await
}

/// One of the three steps of a rotation of the keys. Each can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// Make a new key and accept its tokens beside the old one's.
    Accept,
    /// Sign with the new key.
    Sign,
    /// Accept the new key's tokens alone.
    Drop,
}

/// Takes one step of a rotation. `now` does not wait for what the step before has to reach: tokens are refused then,
/// which is what a key that others know asks for.
pub(crate) async fn rotate(store: &Store, step: Step, lifetime: Duration, now: bool) -> anyhow::Result<()> {
    let [signing_key, public_keys, next_key, released] =
        [Setting::JwtSigningKey, Setting::JwtPublicKeys, Setting::JwtSigningKeyNext, Setting::Released];
    let stored = store.read([signing_key, public_keys, next_key, released]).await?;
    let (Some(signing), Some(public)) = (stored.get(&signing_key), stored.get(&public_keys)) else {
        bail!("{} has no keys yet: run `make secrets STAGE={0}`", store.stage);
    };
    let next = stored.get(&next_key);
    let released = Released::read(stored.get(&released))?;
    let make = |step: &str| format!("make rotate-keys STAGE={} STEP={step}", store.stage);
    let deploy = format!("make deploy STAGE={}", store.stage);

    match step {
        Step::Accept => {
            let key = match next {
                Some(next) => read_signing_key(store, next_key, next)?,
                None => {
                    let key = SigningKey::generate()?;
                    put(store, next_key, &key.to_secret()?).await?;
                    key
                }
            };
            let new = key.public().to_string();
            if lists(&public.value, &new) {
                println!("{} has the new key beside the old already", store.name(public_keys));
            } else {
                put(store, public_keys, &joined(Some(public), &new)).await?;
            }
            println!("\nNext: {deploy}\nThen: {}", make("sign"));
        }
        Step::Sign => {
            let Some(next) = next else {
                bail!("there is no new key to sign with: begin with `{}`", make("accept"));
            };
            let new = read_signing_key(store, next_key, next)?.public().to_string();
            ensure!(lists(&public.value, &new), "the new key is not accepted yet: run `{}`", make("accept"));
            ensure!(
                now || released.since(public_keys, public.version).is_some(),
                "the functions that run may not accept the new key yet: run `{deploy}` first"
            );
            if signing.value != next.value {
                put(store, signing_key, &next.value).await?;
            }
            for name in store.remove([next_key]).await? {
                println!("{name} removed: it is the signing key now");
            }
            println!("\nNext: {deploy}\nThen, {} s later: {}", lifetime.as_secs(), make("drop"));
        }
        Step::Drop => {
            ensure!(next.is_none(), "the new key does not sign yet: run `{}` first", make("sign"));
            let own = read_signing_key(store, signing_key, signing)?.public().to_string();
            if public.value == own {
                println!("{} has the signing key alone already", store.name(public_keys));
                return Ok(());
            }
            if !now {
                let since = released.since(signing_key, signing.version).with_context(|| {
                    format!("the functions that run may sign with the old key: run `{deploy}` first")
                })?;
                let left = (since + lifetime).saturating_sub(since_epoch());
                ensure!(left.is_zero(), "tokens of the old key are valid for {} s more: wait", left.as_secs().max(1));
            }
            put(store, public_keys, &own).await?;
            println!("\nNext: {deploy}");
        }
    }
    Ok(())
}

/// Removes all that is stored for the stage.
pub(crate) async fn remove(store: &Store, agreed: bool) -> anyhow::Result<()> {
    let question = format!("Remove every secret of {} in {}?", store.stage, store.region);
    if !agreed && !Answers::new().agree(&question)? {
        bail!("nothing was removed");
    }
    let [a, b, c, d] = Setting::NEEDED;
    for name in store.remove([a, b, c, d, Setting::JwtSigningKeyNext, Setting::Released]).await? {
        println!("{name} removed");
    }
    Ok(())
}

/// The settings a stage is deployed with, read as the functions and the migrator read them.
pub(crate) async fn checked(store: &Store) -> anyhow::Result<Settings> {
    let stored = store.read(Setting::NEEDED).await?;
    let missing: Vec<_> = Setting::NEEDED.into_iter().filter(|setting| !stored.contains_key(setting)).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.into_iter().map(|setting| store.name(setting)).collect();
        bail!("{} is not stored in {}: run `make secrets STAGE={}`", names.join(", "), store.region, store.stage);
    }
    for (setting, Stored { value, .. }) in &stored {
        check(*setting, value).with_context(|| store.name(*setting))?;
    }
    if let (Some(signing), Some(public)) = (stored.get(&Setting::JwtSigningKey), stored.get(&Setting::JwtPublicKeys)) {
        let own = read_signing_key(store, Setting::JwtSigningKey, signing)?.public().to_string();
        ensure!(
            lists(&public.value, &own),
            "{} does not have the public key of {}: every token would be refused",
            store.name(Setting::JwtPublicKeys),
            store.name(Setting::JwtSigningKey)
        );
    }
    if let (Some(functions), Some(owner)) =
        (stored.get(&Setting::DatabaseUrl), stored.get(&Setting::DatabaseUrlUnpooled))
    {
        let name = store.name(Setting::DatabaseUrl);
        check_same_database(&functions.value, &owner.value).with_context(|| name.clone())?;
        if let Err(error) = log_in(&functions.value, PASSING_TROUBLE).await {
            bail!(
                "{name}: {error:#}: run `make secrets STAGE={}`, where an empty answer keeps the database",
                store.stage
            );
        }
    }
    Ok(stored)
}

/// Reads a value as its reader will. An error says what is wrong and nothing of the value.
fn check(setting: Setting, value: &str) -> anyhow::Result<()> {
    match setting {
        Setting::DatabaseUrl => {
            let config = db::Config::new(value, None)?;
            if let Some(pooled) = db::pooler::pooled(config.host()) {
                bail!(
                    "{} is Neon's direct endpoint, which many functions would exhaust: use the pooled one, {pooled}",
                    config.host()
                );
            }
        }
        Setting::DatabaseUrlUnpooled => {
            db::Config::new(value, None)?;
            migrate::Endpoint::new(value, None)?;
        }
        Setting::JwtSigningKey | Setting::JwtSigningKeyNext => {
            value.parse::<SigningKey>()?;
        }
        Setting::JwtPublicKeys => {
            value.parse::<PublicKeys>()?;
        }
        Setting::Released => {
            serde_json::from_str::<Released>(value)?;
        }
    }
    Ok(())
}

/// The migrations have to reach the database that the functions use.
fn check_same_database(functions: &str, owner: &str) -> anyhow::Result<()> {
    let (functions, owner) = (Address::read(functions)?.direct()?, Address::read(owner)?.direct()?);
    // Another host's pooler may be anywhere.
    let tells = owner.place().of_neons_pooler().is_some() && functions.place().of_neons_pooler().is_some();
    ensure!(!tells || functions.leads_where(&owner), "it and the owner's address are those of two databases");
    Ok(())
}

async fn put(store: &Store, setting: Setting, value: &str) -> anyhow::Result<()> {
    check(setting, value).with_context(|| format!("{} was not stored", store.name(setting)))?;
    let version = store.write(setting, value).await?;
    println!("{} stored (version {version})", store.name(setting));
    Ok(())
}

fn read_signing_key(store: &Store, setting: Setting, stored: &Stored) -> anyhow::Result<SigningKey> {
    stored.value.parse().with_context(|| store.name(setting))
}

/// Whether the list of public keys has this one.
fn lists(keys: &str, key: &str) -> bool {
    keys.split(',').any(|listed| listed.trim() == key)
}

/// The list with one more.
fn joined(keys: Option<&Stored>, key: &str) -> String {
    keys.map_or_else(|| key.to_owned(), |keys| format!("{},{key}", keys.value))
}

/// The versions of the settings that the running functions have read, and since when they run: what a rotation waits
/// for, since functions read the keys only when they start.
#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Released(BTreeMap<String, Release>);

#[derive(Clone, Copy, Deserialize, Serialize)]
struct Release {
    version: i64,
    /// Seconds of Unix time.
    since: u64,
}

impl Released {
    fn read(stored: Option<&Stored>) -> anyhow::Result<Self> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        serde_json::from_str(&stored.value).context("the record of the last release cannot be read")
    }

    /// Since when all functions have this version.
    fn since(&self, setting: Setting, version: i64) -> Option<Duration> {
        let release = self.0.get(setting.name()).filter(|release| release.version == version)?;
        Some(Duration::from_secs(release.since))
    }

    /// Records that every function has been started again after these settings were read.
    pub(crate) async fn record(store: &Store, settings: &Settings) -> anyhow::Result<()> {
        let before = store.read([Setting::Released]).await?;
        let mut released = Self::read(before.get(&Setting::Released))?;
        for setting in Setting::OF_FUNCTIONS {
            let Some(Stored { version, .. }) = settings.get(&setting) else { continue };
            if released.since(setting, *version).is_none() {
                let release = Release { version: *version, since: since_epoch().as_secs() };
                released.0.insert(setting.name().to_owned(), release);
            }
        }
        store.write(Setting::Released, &serde_json::to_string(&released)?).await.map(drop)
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the user says: on the terminal, without an echo; otherwise a line of the standard input each.
struct Answers {
    terminal: bool,
}

impl Answers {
    fn new() -> Self {
        Self { terminal: io::stdin().is_terminal() }
    }

    fn secret(&self, question: &str) -> anyhow::Result<String> {
        let answer = if self.terminal { rpassword::prompt_password(question)? } else { line()? };
        Ok(answer.trim().to_owned())
    }

    /// Whether the answer is yes. Without a terminal nobody can be asked.
    fn agree(&self, question: &str) -> anyhow::Result<bool> {
        if !self.terminal {
            bail!("{question} Only a terminal, or YES=1, can say so");
        }
        print!("{question} [y/N] ");
        io::stdout().flush()?;
        Ok(matches!(line()?.trim(), "y" | "Y" | "yes"))
    }
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("the standard input cannot be read")?;
    Ok(line)
}

/// The file with more authorities to trust, as everywhere.
pub(crate) fn ca_file() -> Option<PathBuf> {
    let file = cli::variable("DATABASE_CA_FILE")?;
    Some(file.to_string_lossy().trim().into())
}

/// What is in it.
pub(crate) fn authorities() -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = ca_file() else { return Ok(None) };
    fs::read(&file).map(Some).with_context(|| format!("cannot read {} (DATABASE_CA_FILE)", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(setting: Setting, value: &str) -> String {
        format!("{:#}", check(setting, value).unwrap_err())
    }

    #[test]
    fn neons_endpoints_are_not_mistaken_for_each_other() {
        let url = |host: &str| format!("postgresql://owner:hunter2@{host}/neondb?sslmode=require");
        let (direct, pooled) =
            ("ep-calm-sea-1.eu-central-1.aws.neon.tech", "ep-calm-sea-1-pooler.eu-central-1.aws.neon.tech");
        check(Setting::DatabaseUrl, &url(pooled)).unwrap();
        check(Setting::DatabaseUrlUnpooled, &url(direct)).unwrap();
        let message = refusal(Setting::DatabaseUrl, &url(direct));
        assert!(
            message.contains(&format!("use the pooled one, {pooled}")) && !message.contains("hunter2"),
            "{message}"
        );
        let message = refusal(Setting::DatabaseUrlUnpooled, &url(pooled));
        assert!(
            message.contains(&format!("use the direct endpoint, {direct}")) && !message.contains("hunter2"),
            "{message}"
        );
    }

    #[test]
    fn the_two_addresses_are_those_of_one_database() {
        let url =
            |host: &str, database: &str| format!("postgresql://owner:x@{host}.eu-central-1.aws.neon.tech/{database}");
        let pooled = url("ep-calm-sea-1-pooler", "task_api");
        check_same_database(&pooled, &url("ep-calm-sea-1", "task_api")).unwrap();
        check_same_database("postgresql://u@pooler.example/d", &url("ep-calm-sea-1", "task_api")).unwrap();
        for other in [url("ep-wild-sea-2", "task_api"), url("ep-calm-sea-1", "neondb")] {
            assert!(check_same_database(&pooled, &other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_no_function_could_read_is_refused_without_being_repeated() {
        for (setting, value) in [
            (Setting::DatabaseUrl, "mysql://u:hunter2@h/d"),
            (Setting::DatabaseUrl, "postgresql://u:hunter2@h/d?sslmode=disable"),
            (Setting::DatabaseUrlUnpooled, "hunter2"),
            (Setting::JwtSigningKey, "hunter2"),
            (Setting::JwtPublicKeys, "hunter2,hunter2"),
        ] {
            assert!(!refusal(setting, value).contains("hunter2"), "{}", setting.name());
        }
    }

    #[test]
    fn a_release_is_of_one_version_since_a_parameter_made_anew_begins_at_1_again() {
        let released: Released = serde_json::from_str(r#"{"jwt-public-keys": {"version": 3, "since": 7}}"#).unwrap();
        assert_eq!(released.since(Setting::JwtPublicKeys, 3), Some(Duration::from_secs(7)));
        assert_eq!(released.since(Setting::JwtPublicKeys, 2), None);
        assert_eq!(released.since(Setting::JwtPublicKeys, 4), None);
        assert_eq!(released.since(Setting::JwtSigningKey, 1), None);
    }
}
