//! Ends every session of every account, and voids the tokens of all mails: after a leak, or after a restore, which brings
//! back those of its moment.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

use crate::{database, prompt::confirm};

/// Accounts of one statement.
const BATCH: i64 = 1000;

/// Whether there are sessions: not before the migrations of 0.2.0.
const EXIST: &str = "SELECT to_regprocedure('end_sessions(uuid)') IS NOT NULL";

const END: &str = "SELECT id, end_sessions(id) FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) AS batch";

/// `limit` is for connecting. Asks first, unless `yes`.
pub(crate) async fn run(url: &str, limit: Duration, yes: bool) -> anyhow::Result<()> {
    let client = database::connect(&database::config(url)?, limit).await?;
    let exist = client.query_typed_one(EXIST, &[]).await.map_err(migrate::database_error)?;
    if !exist.try_get::<_, bool>(0)? {
        println!("this database is of a time before there were sessions");
        return Ok(());
    }
    ensure!(yes || confirm("Everybody will have to sign in again. Go on?")?, "nothing was changed");
    let (mut last, mut accounts) = (Uuid::nil(), 0);
    while let Some((end, count)) = end_batch(&client, last).await.context("not all sessions were ended: repeat it")? {
        last = end;
        accounts += count;
    }
    client.batch_execute("DELETE FROM password_resets").await.context("tokens of mails were not voided: repeat it")?;
    println!("the sessions of {accounts} accounts were ended");
    Ok(())
}

/// Ends the sessions of the next accounts after this one. Returns the last of them, and how many there were; none at the
/// end.
async fn end_batch(client: &Client, after: Uuid) -> Result<Option<(Uuid, usize)>, tokio_postgres::Error> {
    let rows = client.query_typed(END, &[(&after, Type::UUID), (&BATCH, Type::INT8)]).await?;
    let accounts = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    Ok(accounts.iter().max().map(|last| (*last, accounts.len())))
}
