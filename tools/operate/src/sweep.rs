//! Deletes the tags that no task has any more. Requests leave them behind: one that deleted a tag could take it from
//! another that has just given it to a task.

use std::time::Duration;

use anyhow::Context;
use tokio_postgres::{Client, types::Type};
use uuid::Uuid;

use crate::database;

/// Tags of one transaction.
const BATCH: i64 = 1000;

/// Locks unused tags. A request that gives one of them to a task waits until the batch ends; one that has already done so,
/// and has not ended, keeps it: its tag is skipped.
const LOCK: &str = "
    SELECT id FROM tags
    WHERE id > $1 AND NOT EXISTS (SELECT FROM task_tags WHERE tag_id = tags.id)
    ORDER BY id LIMIT $2
    FOR UPDATE SKIP LOCKED";

/// Deletes those of the locked tags that no task has. A statement of its own, which sees what was committed between the
/// beginning of the other one and its locks.
const DELETE: &str = "
    DELETE FROM tags
    WHERE id = ANY ($1) AND NOT EXISTS (SELECT FROM task_tags WHERE tag_id = tags.id)";

/// `limit` is for connecting.
pub(crate) async fn run(url: &str, limit: Duration) -> anyhow::Result<()> {
    let client = database::connect(&database::config(url)?, limit).await?;
    let (mut last, mut deleted) = (Uuid::nil(), 0);
    while let Some((end, count)) = sweep_batch(&client, last).await.context("the tags were not swept")? {
        last = end;
        deleted += count;
    }
    println!("{deleted} tags that no task has were deleted");
    Ok(())
}

/// Deletes the next unused tags after this one. Returns the last one it has looked at, and how many it has deleted; none at
/// the end.
async fn sweep_batch(client: &Client, after: Uuid) -> Result<Option<(Uuid, u64)>, tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    let rows = client.query_typed(LOCK, &[(&after, Type::UUID), (&BATCH, Type::INT8)]).await?;
    let unused = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    let deleted = client.execute_typed(DELETE, &[(&unused, Type::UUID_ARRAY)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(unused.last().map(|last| (*last, deleted)))
}
