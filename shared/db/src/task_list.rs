//! The statement of a list. It is put together from fixed parts, so that it has no more conditions than the request.

use auth::Caller;
use domain::{Page, PageRequest, Priority, SortKey, Status, Tag, TaskFilter, Timestamp};
use tokio_postgres::types::{ToSql, Type};

use crate::{
    Database, Error,
    identity::Identity,
    tasks::{TASK_COLUMNS, task, task_tags},
};

/// A text in lower case, with simple case mapping whatever the database's locale: ICU's `lower` alone is a full mapping,
/// in which these two letters depend on their neighbours or become two. ICU takes most of a search's time: ASCII, which
/// has as many bytes as characters, goes without.
fn fold_case(text: &str) -> String {
    format!(
        "CASE WHEN octet_length({text}) = length({text}) THEN lower({text} COLLATE \"C\") COLLATE \"und-x-icu\"
              ELSE replace(lower(replace({text}, 'İ', 'i') COLLATE \"und-x-icu\"), 'ς', 'σ') END"
    )
}

impl Database {
    /// A page of the caller's tasks.
    ///
    /// # Errors
    /// [`Error::SessionEnded`].
    pub async fn list_tasks(&self, caller: Caller, request: &PageRequest) -> Result<Page, Error> {
        let caller = Identity::from(caller);
        let size = usize::from(request.size.get());
        let mut query = Query::default();
        // One more than the page holds is read, to know whether there is a next page.
        query.bind(i64::from(request.size.get()) + 1, Type::INT8);
        let page = query.page(request);
        let sql = format!(
            "SELECT task.*, {} AS tags
            FROM ({}) AS caller
            LEFT JOIN ({page}) AS task ON true",
            task_tags!("task"),
            caller.in_read()
        );
        let params: Vec<(&(dyn ToSql + Sync), Type)> =
            query.params.iter().map(|(value, r#type)| (&**value as _, r#type.clone())).collect();
        let rows = self.read(&sql, &caller.params(&params)).await?;
        if rows.is_empty() {
            return Err(Error::SessionEnded);
        }
        let mut tasks = rows.iter().filter_map(|row| task(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        // A join promises no order.
        tasks.sort_by(|a, b| request.sort.compare(a, b));
        let more = tasks.len() > size;
        tasks.truncate(size);
        let next = tasks.last().filter(|_| more).map(|last| request.sort.position_of(last));
        Ok(Page { tasks, next })
    }
}

/// A statement's parameters after the caller's, as its parts are written.
#[derive(Default)]
struct Query {
    params: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Query {
    /// Adds a parameter, and returns its number.
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, r#type: Type) -> usize {
        self.params.push((Box::new(value), r#type));
        self.params.len() + 2
    }

    fn bind_time(&mut self, time: Timestamp) -> usize {
        self.bind(*time.as_utc(), Type::TIMESTAMP)
    }

    /// That a column has one of the values. A single one is compared with `=`, for an index that has the order of the list
    /// after it.
    fn any_of<T>(&mut self, column: &str, values: Vec<T>, one: Type, many: Type) -> String
    where
        T: ToSql + Sync + Send + Copy + 'static,
    {
        match values[..] {
            [value] => format!("{column} = ${}", self.bind(value, one)),
            _ => format!("{column} = ANY (${})", self.bind(values, many)),
        }
    }

    /// Each begins with `AND`.
    fn conditions(&mut self, filter: &TaskFilter) -> String {
        let mut conditions = String::new();
        let mut and = |condition: String| conditions += &format!(" AND {condition}");
        if let Some(statuses) = &filter.statuses {
            let names = statuses.iter().copied().map(Status::as_str).collect();
            and(self.any_of("status", names, Type::TEXT, Type::TEXT_ARRAY));
        }
        if let Some(priorities) = &filter.priorities {
            let numbers = priorities.iter().copied().map(Priority::get).collect();
            and(self.any_of("priority", numbers, Type::INT4, Type::INT4_ARRAY));
        }
        for id in filter.tags.iter().map(Tag::id) {
            let id = self.bind(id, Type::UUID);
            and(format!("EXISTS (SELECT FROM task_tags WHERE user_id = $1 AND tag_id = ${id} AND task_id = tasks.id)"));
        }
        if let Some(time) = filter.due_after {
            and(format!("due_date >= ${}", self.bind_time(time)));
        }
        if let Some(time) = filter.due_before {
            and(format!("due_date < ${}", self.bind_time(time)));
        }
        for word in filter.words.iter() {
            let word = self.bind(word.to_owned(), Type::TEXT);
            and(format!("strpos(folded.text, {}) > 0", fold_case(&format!("${word}"))));
        }
        conditions
    }

    /// Where the tasks come from. Words do not contain white space, so none matches across title and description.
    fn from(filter: &TaskFilter) -> String {
        if filter.words.is_empty() {
            return "tasks".to_owned();
        }
        // Without OFFSET the texts would be computed each time that they are named.
        format!(
            "tasks
            CROSS JOIN LATERAL (SELECT title || E'\\n' || COALESCE(description, '') AS text OFFSET 0) AS written
            CROSS JOIN LATERAL (SELECT {} AS text OFFSET 0) AS folded",
            fold_case("written.text")
        )
    }

    /// The tasks of a page.
    fn page(&mut self, request: &PageRequest) -> String {
        if request.filter.tags.is_empty() && request.sort.key != SortKey::UpdatedAt {
            return self.rows(TASK_COLUMNS, request);
        }
        // Indexes have the tags and the order; by the time of the last change, all tasks are sorted. Whole ones are read
        // when the page is known.
        let ids = self.rows("id", request);
        format!("SELECT {TASK_COLUMNS} FROM tasks JOIN ({ids}) AS page USING (id)")
    }

    /// The rows of a page. Each branch reads an index in order, as far as the page goes.
    fn rows(&mut self, columns: &str, request: &PageRequest) -> String {
        let PageRequest { filter, sort, after, .. } = request;
        let conditions = self.conditions(filter);
        // No index has the order, so all tasks of the user are read. An index scan takes half as long as a bitmap scan does
        // at the limit. The planner chooses it for an order that an index has, if it is not told which user: then it
        // expects as few tasks as an average one has.
        let from = if sort.key == SortKey::UpdatedAt && conditions.is_empty() {
            "(SELECT id, user_id, updated_at FROM tasks WHERE user_id = (SELECT $1)
            ORDER BY created_at DESC OFFSET 0) AS tasks"
                .to_owned()
        } else {
            Self::from(filter)
        };
        let (column, may_be_null) = match sort.key {
            SortKey::CreatedAt => ("created_at", false),
            SortKey::DueDate => ("due_date", true),
            SortKey::Priority => ("priority", true),
            SortKey::UpdatedAt => ("updated_at", false),
        };
        let (direction, beyond) = if sort.is_descending { ("DESC", "<") } else { ("ASC", ">") };
        let branch = |condition: &str, limit: &str| {
            format!(
                "SELECT {columns} FROM {from} WHERE user_id = $1{conditions}{condition}
                ORDER BY {column} {direction}, id {direction} LIMIT {limit}"
            )
        };
        let after_id = after.map(|position| self.bind(*position.id.as_uuid(), Type::UUID));
        let after_value = after.and_then(|position| position.value).map(|value| match sort.key {
            SortKey::Priority => self.bind(i32::try_from(value).unwrap_or(i32::MAX), Type::INT4),
            _ => self.bind(Timestamp::from_micros(value).map(|time| *time.as_utc()), Type::TIMESTAMP),
        });
        let beyond_value = match (after_value, after_id) {
            (Some(value), Some(id)) => format!(" AND ({column}, id) {beyond} (${value}, ${id})"),
            _ => String::new(),
        };
        if !may_be_null {
            return branch(&beyond_value, "$3");
        }
        // Tasks without a value come last.
        match (after_value, after_id) {
            (None, Some(id)) => branch(&format!(" AND {column} IS NULL AND id {beyond} ${id}"), "$3"),
            // The last LIMIT is for the planner, which cannot tell how few rows the second branch adds.
            _ => format!(
                "WITH valued AS ({}), unvalued AS ({})
                SELECT * FROM valued UNION ALL SELECT * FROM unvalued LIMIT $3",
                branch(&format!(" AND {column} IS NOT NULL{beyond_value}"), "$3"),
                branch(&format!(" AND {column} IS NULL"), "$3 - (SELECT count(*) FROM valued)"),
            ),
        }
    }
}
