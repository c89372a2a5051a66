//! How far a batched migration is, in the table `_migration_batches`.

use std::{fmt, time::Duration};

use tokio_postgres::{Error, Row, types::Type};

use crate::{
    database::{Database, Params},
    error::database_error,
    migration::Migration,
};

pub(crate) const CREATE_TABLE: &str = "
CREATE TABLE IF NOT EXISTS _migration_batches (
    version BIGINT PRIMARY KEY,
    checksum BYTEA NOT NULL,
    filenode OID NOT NULL,
    pass INTEGER NOT NULL,
    next_block BIGINT NOT NULL,
    end_block BIGINT NOT NULL,
    changed_in_pass BIGINT NOT NULL,
    changed BIGINT NOT NULL
)";

/// The position of a batched migration. A pass goes from the first block of the table to what was its end when the pass
/// began.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) version: i64,
    /// The file's. Another file starts anew.
    checksum: Vec<u8>,
    filenode: u32,
    pub(crate) pass: i32,
    pub(crate) next_block: i64,
    end_block: i64,
    /// Rows that this pass has changed.
    changed_in_pass: i64,
    /// Rows that all passes have changed.
    pub(crate) changed: i64,
}

/// The file that holds the table's rows.
pub(crate) struct File {
    /// Another one after `VACUUM FULL` or `CLUSTER`, which may have moved any row.
    node: u32,
    /// Its size.
    blocks: i64,
    /// How long the transaction has taken until now, by the server's clock.
    pub(crate) elapsed: Duration,
}

impl Progress {
    fn new(migration: &Migration, file: &File) -> Self {
        Self {
            version: migration.version,
            checksum: migration.checksum.clone(),
            filenode: file.node,
            pass: 1,
            next_block: 0,
            end_block: file.blocks,
            changed_in_pass: 0,
            changed: 0,
        }
    }

    /// The block after a batch of this size.
    pub(crate) fn end_of_batch(&self, blocks: i64) -> i64 {
        self.end_block.min(self.next_block + blocks)
    }

    /// After a batch up to this block.
    pub(crate) fn after_batch(&self, end: i64, changed: i64, file: &File) -> Self {
        let mut after = self.clone();
        after.changed += changed;
        after.changed_in_pass += changed;
        after.next_block = end;
        if file.node == self.filenode { after } else { after.next_pass(file) }
    }

    pub(crate) fn next_pass(&self, file: &File) -> Self {
        let start =
            Self { filenode: file.node, next_block: 0, end_block: file.blocks, changed_in_pass: 0, ..self.clone() };
        Self { pass: self.pass + 1, ..start }
    }

    pub(crate) fn is_end_of_pass(&self) -> bool {
        self.next_block >= self.end_block
    }

    /// Whether a pass has read the whole table and found nothing to change.
    pub(crate) fn is_complete(&self, file: &File) -> bool {
        self.is_end_of_pass() && self.changed_in_pass == 0 && self.filenode == file.node
    }

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            version: row.try_get("version")?,
            checksum: row.try_get("checksum")?,
            filenode: row.try_get("filenode")?,
            pass: row.try_get("pass")?,
            next_block: row.try_get("next_block")?,
            end_block: row.try_get("end_block")?,
            changed_in_pass: row.try_get("changed_in_pass")?,
            changed: row.try_get("changed")?,
        })
    }

    pub(crate) fn is_of(&self, migration: &Migration) -> bool {
        self.version == migration.version && migration.matches(&self.checksum)
    }
}

/// `480 of about 2000 rows (24 % of the table)`: the rows that the first pass will change, if the rest of the table is like
/// what it has seen.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (next, end) = (self.next_block.max(1), self.end_block.max(1));
        let percent = (100 * self.next_block / end).min(100);
        if self.pass == 1 {
            write!(f, "{} of about {} rows ({percent} % of the table)", self.changed, self.changed * end / next)
        } else {
            write!(f, "{} rows, and {percent} % of the table read again", self.changed)
        }
    }
}

impl Database {
    /// All that is stored; none when there is no table.
    pub(crate) async fn all_progress(&self) -> anyhow::Result<Vec<Progress>> {
        if !self.query_bool("SELECT to_regclass('_migration_batches') IS NOT NULL", &[]).await? {
            return Ok(Vec::new());
        }
        let rows = self.client.query_typed("SELECT * FROM _migration_batches", &[]).await.map_err(database_error)?;
        rows.iter().map(Progress::read).collect::<Result<_, _>>().map_err(database_error)
    }

    /// Where the migration goes on, or begins.
    pub(crate) async fn progress(&self, migration: &Migration, table: &str) -> anyhow::Result<Progress> {
        let stored = self.all_progress().await?.into_iter().find(|progress| progress.is_of(migration));
        match stored {
            Some(progress) => Ok(progress),
            None => Ok(Progress::new(migration, &self.file(table).await.map_err(database_error)?)),
        }
    }

    /// The file of the table with this name on the search path.
    pub(crate) async fn file(&self, table: &str) -> Result<File, Error> {
        let file = "SELECT pg_relation_filenode(oid) AS node,
                        pg_relation_size(oid) / current_setting('block_size')::bigint AS blocks,
                        (extract(epoch FROM clock_timestamp() - now()) * 1000000)::bigint AS elapsed
                    FROM pg_class WHERE oid = $1::text::regclass";
        let row = self.client.query_typed_one(file, &[(&table, Type::TEXT)]).await?;
        let elapsed = Duration::from_micros(row.try_get::<_, i64>("elapsed")?.unsigned_abs());
        Ok(File { node: row.try_get("node")?, blocks: row.try_get("blocks")?, elapsed })
    }

    /// Stores the position, in the batch's transaction.
    pub(crate) async fn store(&self, progress: &Progress) -> Result<u64, Error> {
        let upsert = "INSERT INTO _migration_batches VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                      ON CONFLICT (version) DO UPDATE
                      SET checksum = $2, filenode = $3, pass = $4, next_block = $5, end_block = $6,
                          changed_in_pass = $7, changed = $8";
        let values: Params<'_> = &[
            (&progress.version, Type::INT8),
            (&progress.checksum, Type::BYTEA),
            (&progress.filenode, Type::OID),
            (&progress.pass, Type::INT4),
            (&progress.next_block, Type::INT8),
            (&progress.end_block, Type::INT8),
            (&progress.changed_in_pass, Type::INT8),
            (&progress.changed, Type::INT8),
        ];
        self.client.execute_typed(upsert, values).await
    }

    pub(crate) async fn forget_progress(&self, migration: &Migration) -> Result<u64, Error> {
        let delete = "DELETE FROM _migration_batches WHERE version = $1";
        self.client.execute_typed(delete, &[(&migration.version, Type::INT8)]).await
    }
}
