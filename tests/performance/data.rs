//! The accounts of the requests, in copies of one database: whoever uses them up leaves the others theirs.

use std::fmt::Write;

use anyhow::{Result, anyhow, ensure};
use domain::{ChosenPassword, Email};
use migrate::functions_role;
use reqwest::Url;
use serde_json::json;
use tests::{
    api::PASSWORD,
    database::{Migrate, TestDatabase, direct_url, migrations, superuser_url},
    workspace::variable,
};
use tokio_postgres::types::Type;

use crate::requests::Account;

/// Of the functions' role.
const ROLE_PASSWORD: &str = "performance";

const TABLE: &str = r#"CREATE TEMPORARY TABLE account (
    "user" uuid, email text, hash text, session uuid, family text, token text, reset text, task uuid, tasks integer
)"#;

/// A database with these accounts. Nobody is connected to it, so that it can be copied.
pub(crate) async fn fill(accounts: impl Iterator<Item = &Account>) -> Result<TestDatabase> {
    let database = TestDatabase::create().await?;
    database.migrate(&migrations(), &["up", "--contract"]).await?.success();
    let mut superuser: Url = superuser_url().parse()?;
    superuser.set_path(database.name());
    let role = Migrate::new(superuser.as_str(), &migrations())?.env("FUNCTIONS_PASSWORD", Some(ROLE_PASSWORD));
    role.run(&["role"]).await?.success();

    let address = Email::parse("ada@example.com")?;
    let password = ChosenPassword::parse(PASSWORD.to_owned())?.for_account(&address)?;
    let hash = auth::hash_password(password).await;
    let rows = accounts.map(|account| {
        json!({
            "user": account.user, "email": account.email, "hash": hash.as_str(), "session": account.session,
            "family": hex(&account.refresh_token.family_hash()), "token": hex(&account.refresh_token.hash()),
            "reset": account.reset_token.as_ref().map(|token| hex(&token.hash())),
            "task": account.task, "tasks": account.tasks,
        })
    });
    let rows = rows.collect::<Vec<_>>();
    let owner = database.connect().await?;
    owner.batch_execute(TABLE).await?;
    let sql = "INSERT INTO account SELECT * FROM json_populate_recordset(NULL::account, $1::text::json)";
    owner.query_typed(sql, &[(&serde_json::to_string(&rows)?, Type::TEXT)]).await?;
    owner.batch_execute(include_str!("data.sql")).await?;
    owner.batch_execute("VACUUM (ANALYZE)").await?;
    Ok(database)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The pooled address of a database, as the functions' role of the one that it was copied from.
pub(crate) fn pooled_url(database: &TestDatabase, original: &TestDatabase) -> Result<String> {
    let mut url: Url = variable("DATABASE_URL").parse()?;
    ensure!(url.port() != direct_url().parse::<Url>()?.port(), "PgBouncer is missing: install it");
    url.set_path(database.name());
    let set = url.set_username(&functions_role(original.name())).and_then(|()| url.set_password(Some(ROLE_PASSWORD)));
    set.map_err(|()| anyhow!("a URL without a user"))?;
    Ok(url.into())
}
