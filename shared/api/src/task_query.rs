//! The query of a list of tasks.

use domain::{
    PageRequest, PageSize, Position, Priority, SearchWords, Sort, Status, Tags, TaskFilter, Timestamp, whole_number,
};

use crate::{
    Problem, Request,
    cursor::{decode_cursor, encode_cursor},
};

/// A page to list, and how its query is written in links.
pub struct TaskQuery {
    pub page: PageRequest,
    /// Filters and sort, normalised: a cursor is valid only with these.
    list: String,
}

impl TaskQuery {
    /// # Errors
    /// 400 for an unknown, repeated or invalid parameter, and for a cursor of another list.
    pub fn parse(request: &Request) -> Result<Self, Problem> {
        let [status, completed, priority, tag, due_after, due_before, q, sort, limit, cursor] = request.query([
            "status",
            "completed",
            "priority",
            "tag",
            "due_after",
            "due_before",
            "q",
            "sort",
            "limit",
            "cursor",
        ])?;
        let status = parse("status", status, statuses)?;
        let completed = parse("completed", completed, |text| text.parse().map_err(|_| "must be true or false"))?;
        let priority = parse("priority", priority, priorities)?;
        let tags = parse("tag", tag, |text| Tags::parse(text.split(',')))?;
        let due_after = parse("due_after", due_after, Timestamp::parse)?;
        let due_before = parse("due_before", due_before, Timestamp::parse)?;
        let words = parse("q", q, |text| {
            SearchWords::parse(text).ok_or("must be 1 to 5 words of at most 200 characters in all")
        })?;
        let sort = parse("sort", sort, |text| {
            Sort::parse(text).ok_or("must be created_at, due_date, priority or updated_at, or one of these after a -")
        })?;
        let size = parse("limit", limit, |text| {
            whole_number(text).and_then(PageSize::new).ok_or("must be a number from 1 to 100")
        })?;

        let mut list = form_urlencoded::Serializer::new(String::new());
        let mut add = |name, value: Option<String>| {
            if let Some(value) = value {
                list.append_pair(name, &value);
            }
        };
        add("status", status.as_deref().map(|all| joined(all, |status| status.as_str().to_owned())));
        add("completed", completed.map(|completed: bool| completed.to_string()));
        add("priority", priority.as_deref().map(|all| joined(all, |priority| priority.get().to_string())));
        add("tag", tags.as_ref().map(Tags::joined));
        add("due_after", due_after.map(|time| time.to_string()));
        add("due_before", due_before.map(|time| time.to_string()));
        add("q", words.as_ref().map(SearchWords::joined));
        add("sort", sort.filter(|sort| *sort != Sort::default()).map(|sort| sort.to_string()));
        let list = list.finish();

        let after = parse("cursor", cursor, |text| {
            decode_cursor(text, &list).ok_or("must come from the Link of an earlier page of this list")
        })?;
        let filter = TaskFilter {
            statuses: both(status, completed),
            priorities: priority,
            tags: tags.unwrap_or_default(),
            due_after,
            due_before,
            words: words.unwrap_or_default(),
        };
        let page = PageRequest { filter, sort: sort.unwrap_or_default(), size: size.unwrap_or_default(), after };
        Ok(Self { page, list })
    }

    /// The query of the page that starts at the position.
    pub fn next(&self, position: Position) -> String {
        let mut query = form_urlencoded::Serializer::new(self.list.clone());
        query.append_pair("limit", &self.page.size.get().to_string());
        query.append_pair("cursor", &encode_cursor(position, &self.list));
        query.finish()
    }
}

/// The value of a parameter, if it was given.
fn parse<T, E: ToString>(
    name: &'static str,
    text: Option<String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    let invalid = |error: E| Problem::BadParameter(name, error.to_string());
    text.map(|text| parse(&text).map_err(invalid)).transpose()
}

fn statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    set(text, |name| Status::parse(name).ok())
        .ok_or("must be pending, in_progress or completed, or several with commas")
}

fn priorities(text: &str) -> Result<Vec<Priority>, &'static str> {
    set(text, |number| whole_number(number).and_then(|number| Priority::new(number).ok()))
        .ok_or("must be a number from 1 to 4, or several with commas")
}

/// The values between commas, each once and in order.
fn set<T: Ord>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut values = text.split(',').map(parse).collect::<Option<Vec<_>>>()?;
    values.sort_unstable();
    values.dedup();
    Some(values)
}

fn joined<T>(values: &[T], text: impl Fn(&T) -> String) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The statuses that meet both parameters.
fn both(statuses: Option<Vec<Status>>, completed: Option<bool>) -> Option<Vec<Status>> {
    let Some(completed) = completed else { return statuses };
    let mut statuses = statuses.unwrap_or_else(|| Status::ALL.to_vec());
    statuses.retain(|status| status.is_completed() == completed);
    Some(statuses)
}
