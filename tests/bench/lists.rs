//! Reading: each kind of list, for three users, on its first and its hundredth page.

use std::fmt::Write;

use auth::Caller;
use db::{Database, Error};
use domain::{Page, PageRequest, Priority, SearchWords, Sort, Status, Tags, TaskFilter, Timestamp, UserId};
use tests::{caller::caller, database::ca_file, workspace::variable};
use tokio_postgres::{Client, types::Type};

use crate::median;

pub(crate) const RUNS: usize = 20;

/// Runs that fill the caches and do not count.
const WARM_UP: usize = 3;

pub(crate) const TAGS: [&str; 3] = ["home", "work", "rare"];

/// The number of a user in the data, and how many tasks they have.
const USERS: [(u32, &str); 3] = [(7, "about 90"), (1, "10,000, the limit"), (0, "a million")];

const PAGES: usize = 100;

/// The statements that a page needs at least: without the tags, and with them.
const PLAINEST: [(&str, &str); 2] = [
    ("the plainest page", "SELECT * FROM tasks WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 51"),
    (
        "the plainest page with tags",
        "SELECT *, ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = task.id)
         FROM (SELECT * FROM tasks WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 51) AS task",
    ),
];

fn kinds() -> Vec<(&'static str, PageRequest)> {
    let time = |text| Some(Timestamp::parse(text).unwrap());
    let filter = |filter: TaskFilter| PageRequest { filter, ..PageRequest::default() };
    let statuses = |all: &[Status]| TaskFilter { statuses: Some(all.to_vec()), ..TaskFilter::default() };
    let priorities = |all: &[i64]| {
        let priorities = all.iter().map(|&number| Priority::new(number).unwrap()).collect();
        TaskFilter { priorities: Some(priorities), ..TaskFilter::default() }
    };
    let tags = |names: &[&str]| TaskFilter { tags: Tags::parse(names).unwrap(), ..TaskFilter::default() };
    let due = |after, before| TaskFilter { due_after: time(after), due_before: time(before), ..TaskFilter::default() };
    let words = |text| TaskFilter { words: SearchWords::parse(text).unwrap(), ..TaskFilter::default() };
    let sorted =
        |sort: &str, filter| PageRequest { filter, sort: Sort::parse(sort).unwrap(), ..PageRequest::default() };
    let all = TaskFilter::default;
    vec![
        ("newest first", filter(all())),
        ("`status=pending`", filter(statuses(&[Status::Pending]))),
        ("`status=completed`", filter(statuses(&[Status::Completed]))),
        ("`completed=false`", filter(statuses(&[Status::Pending, Status::InProgress]))),
        ("`priority=1`, few", filter(priorities(&[1]))),
        ("`priority=2,3`, many", filter(priorities(&[2, 3]))),
        ("`tag=home`, many", filter(tags(&["home"]))),
        ("`tag=rare`, few", filter(tags(&["rare"]))),
        ("`tag=home,work`, none", filter(tags(&["home", "work"]))),
        ("due within a day", filter(due("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"))),
        ("due within a year", filter(due("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"))),
        ("`q=milk`, many", filter(words("milk"))),
        ("`q=xyzzy`, none", filter(words("xyzzy"))),
        ("`sort=created_at`", sorted("created_at", all())),
        ("`sort=due_date`", sorted("due_date", all())),
        ("`sort=-due_date`", sorted("-due_date", all())),
        ("`sort=priority`", sorted("priority", all())),
        ("`sort=-priority`", sorted("-priority", all())),
        ("`sort=updated_at`", sorted("updated_at", all())),
        ("`sort=-updated_at`", sorted("-updated_at", all())),
        ("`status=pending&sort=due_date`", sorted("due_date", statuses(&[Status::Pending]))),
        ("`status=completed&sort=-due_date`", sorted("-due_date", statuses(&[Status::Completed]))),
        ("`tag=rare&sort=due_date`", sorted("due_date", tags(&["rare"]))),
        ("`priority=1&sort=-updated_at`", sorted("-updated_at", priorities(&[1]))),
    ]
}

pub(crate) async fn measure(superuser: &Client, report: &mut String) {
    let config = db::Config::new(&variable("DATABASE_URL"), Some(&std::fs::read(ca_file()).unwrap())).unwrap();
    let database = Database::open(config, None).await;
    // The functions' role may run a statement for 1.5 s only; what takes longer is a dash.
    let header: Vec<_> = USERS.iter().map(|(_, tasks)| format!("{tasks} | page {PAGES} | ")).collect();
    let header = header.concat();
    writeln!(report, "| list of a user with | {}\n|---|{}", header.trim_end(), "---:|---:|".repeat(USERS.len()))
        .unwrap();
    for (name, sql) in PLAINEST {
        let times = statement_times(superuser, sql).await.map(|time| format!("{time} | | "));
        writeln!(report, "| {name} | {}", times.concat().trim_end()).unwrap();
    }
    for (name, first) in kinds() {
        let mut row = format!("| {name} | ");
        for (number, _) in USERS {
            let caller = caller(user(number));
            row += &page_time(superuser, &database, caller, &first).await;
            let last = page(&database, caller, &first).await;
            row += &match last {
                Some(last) => page_time(superuser, &database, caller, &last).await,
                None => " | ".to_owned(),
            };
        }
        println!("{row}");
        writeln!(report, "{}", row.trim_end()).unwrap();
    }
}

/// How long the first page of the list by `updated_at` takes, for each user, with an index for it.
pub(crate) async fn times_with_candidate(superuser: &Client) -> [String; USERS.len()] {
    statement_times(superuser, &PLAINEST[1].1.replace("created_at", "updated_at")).await
}

async fn statement_times(superuser: &Client, sql: &str) -> [String; USERS.len()] {
    let mut times = USERS.map(|_| String::new());
    for ((number, _), slot) in USERS.iter().zip(&mut times) {
        let user = user(*number);
        let run = async || superuser.query_typed(sql, &[(user.as_uuid(), Type::UUID)]).await.is_ok();
        *slot = time(superuser, run).await;
    }
    times
}

async fn page_time(superuser: &Client, database: &Database, caller: Caller, request: &PageRequest) -> String {
    format!("{} | ", time(superuser, async || list(database, caller, request).await.is_ok()).await)
}

async fn list(database: &Database, caller: Caller, request: &PageRequest) -> Result<Page, Error> {
    database.list_tasks(caller, request).await
}

/// The request for the hundredth page, if there is one.
async fn page(database: &Database, caller: Caller, first: &PageRequest) -> Option<PageRequest> {
    let mut request = first.clone();
    for _ in 1..PAGES {
        request.after = Some(list(database, caller, &request).await.ok()?.next?);
    }
    Some(request)
}

/// The server's median time for a statement, in milliseconds.
async fn time(superuser: &Client, run: impl AsyncFn() -> bool) -> String {
    let sql = "SELECT sum(total_plan_time + total_exec_time)::float8 FROM pg_stat_statements
               WHERE query LIKE '%FROM tasks%' AND query NOT LIKE '%pg_stat_statements%'";
    let mut times = Vec::new();
    for _ in 0..WARM_UP + RUNS {
        superuser.batch_execute("SELECT pg_stat_statements_reset()").await.unwrap();
        if !run().await {
            return "–".to_owned();
        }
        times.push(superuser.query_typed_one(sql, &[]).await.unwrap().get(0));
    }
    format!("{:.2}", median(times.split_off(WARM_UP)))
}

/// A user's id in the data.
fn user(number: u32) -> UserId {
    UserId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap()
}
