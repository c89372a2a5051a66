use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use anyhow::{Context, bail, ensure};
use uuid::Uuid;

use super::{
    Request, Tasks, columns, ids,
    past::{DERIVED, Past},
    present::Present,
};

/// How many ids are shown.
const SHOWN: usize = 10;

/// What is missing.
pub(super) struct Plan {
    /// The account's row, if the account is missing.
    pub(super) account: Option<String>,
    /// The account that gets the tasks.
    pub(super) owner: Uuid,
    pub(super) tasks: Vec<Uuid>,
    /// The columns of accounts and of tasks that both databases have.
    pub(super) account_columns: Vec<String>,
    pub(super) task_columns: Vec<String>,
    /// Tasks that are to be restored, and exist.
    existing: Vec<Uuid>,
    /// The account's tasks now, without those.
    others: usize,
    /// What the past has, and the present has no place for.
    left_out: Vec<String>,
}

impl Plan {
    pub(super) async fn new(past: &Past, present: &Present, request: &Request) -> anyhow::Result<Self> {
        let id = request.account;
        let row = past.account(id).await.context("FROM")?;
        let then = ids(&past.client, "SELECT id FROM tasks WHERE user_id = ANY ($1)", &[id]).await?;
        let wanted: Vec<Uuid> = match &request.tasks {
            Some(Tasks::These(named)) => {
                let then: BTreeSet<_> = then.iter().collect();
                let unknown: Vec<_> = named.iter().filter(|task| !then.contains(task)).copied().collect();
                ensure!(unknown.is_empty(), "FROM: the account has no such tasks there: {}", Ids(&unknown));
                named.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
            }
            Some(Tasks::All) | None => then,
        };
        let owner = request.into.unwrap_or(id);
        let account = match (present.has_account(owner).await?, &request.tasks) {
            (true, _) => None,
            (false, None) => Some(row),
            (false, Some(_)) => {
                bail!("there is no account {owner} now: restore it without TASKS, or name another, INTO")
            }
        };
        if let Some(row) = &account {
            present.ensure_address_is_free(row, id).await?;
        }

        let existing = ids(&present.client, "SELECT id FROM tasks WHERE id = ANY ($1)", &wanted).await?;
        let kept: BTreeSet<_> = existing.iter().collect();
        let tasks: Vec<_> = wanted.into_iter().filter(|task| !kept.contains(task)).collect();
        let owned = ids(&present.client, "SELECT id FROM tasks WHERE user_id = ANY ($1)", &[owner]).await?;
        let others = owned.iter().filter(|task| !kept.contains(task)).count();
        let mut left_out = Vec::new();
        let account_columns = shared_columns("users", past, present, &mut left_out).await?;
        let task_columns = shared_columns("tasks", past, present, &mut left_out).await?;
        if past.has_tags && !present.has_tags {
            left_out.push("tags".to_owned());
        }
        Ok(Self { account, owner, tasks, account_columns, task_columns, existing, others, left_out })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.account.is_none() && self.tasks.is_empty()
    }
}

/// The columns of a table that both databases have.
async fn shared_columns(
    table: &str,
    past: &Past,
    present: &Present,
    left_out: &mut Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let (then, now) = (columns(&past.client, table).await?, columns(&present.client, table).await?);
    let is_derived = |column: &String| DERIVED.contains(&column.as_str());
    let lost = then.iter().filter(|column| !now.contains(column) && !is_derived(column));
    left_out.extend(lost.map(|column| format!("{table}.{column}")));
    Ok(now.into_iter().filter(|column| then.contains(column) || is_derived(column)).collect())
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(_) => writeln!(f, "account {}: missing; would come back, signed out", self.owner)?,
            None => writeln!(f, "account {}: exists, and stays as it is", self.owner)?,
        }
        writeln!(f, "tasks that would come back: {}", self.tasks.len())?;
        writeln!(f, "tasks that exist, and stay as they are: {}", Ids(&self.existing))?;
        writeln!(f, "other tasks of the account, which stay: {}", self.others)?;
        if !self.left_out.is_empty() {
            writeln!(f, "left out, as this database does not have it: {}", self.left_out.join(", "))?;
        }
        Ok(())
    }
}

/// Their number, and the first of them.
struct Ids<'a>(&'a [Uuid]);

impl Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())?;
        for (number, id) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{id}", if number == 0 { ": " } else { ", " })?;
        }
        f.write_str(if self.0.len() > SHOWN { ", …" } else { "" })
    }
}
