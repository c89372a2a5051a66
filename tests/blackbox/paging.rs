//! Paging through the list of tasks.

use regex::Regex;
use serde_json::{Value, json};
use tests::{
    api::{Api, Reply, User, two_users},
    database::connect_to_stack,
};

fn ids(reply: &Reply) -> Vec<String> {
    reply.body.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

/// The path of the next page, below the user's.
fn next(user: &User, reply: &Reply) -> Option<String> {
    let page = reply.next_page()?;
    Some(page.as_str().strip_prefix(&user.api.url(&user.path(""))).unwrap().to_owned())
}

/// Follows the links to the end.
async fn pages(user: &User, from: &str) -> Vec<Reply> {
    let mut pages = vec![user.get(from).await.expect(200)];
    while let Some(next) = next(user, pages.last().unwrap()) {
        pages.push(user.get(&next).await.expect(200));
    }
    pages
}

/// Creates tasks, every second one completed; their ids, newest first.
async fn create(user: &User, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let task = user.task(&number.to_string()).await;
        let id = task["id"].as_str().unwrap().to_owned();
        if number % 2 == 1 {
            user.put(&format!("/tasks/{id}"), &json!({"completed": true})).await.expect(200);
        }
        ids.insert(0, id);
    }
    ids
}

#[tokio::test]
async fn the_pages_hold_every_task_once_newest_first() {
    let (user, other) = two_users().await;
    other.task("not mine").await;
    assert_eq!(user.get("/tasks").await.expect(200).body, json!([]));
    let created = create(&user, 52).await;

    let whole = pages(&user, "/tasks").await;
    assert_eq!(whole.iter().map(|page| ids(page).len()).collect::<Vec<_>>(), [50, 2], "50 without a limit");
    for (limit, sizes) in
        [(100, vec![52]), (52, vec![52]), (51, vec![51, 1]), (26, vec![26, 26]), (20, vec![20, 20, 12])]
    {
        let pages = pages(&user, &format!("/tasks?limit={limit}")).await;
        assert_eq!(pages.iter().map(|page| ids(page).len()).collect::<Vec<_>>(), sizes, "limit {limit}");
        assert_eq!(pages.iter().flat_map(ids).collect::<Vec<_>>(), created, "limit {limit}");
    }
    for (completed, first) in [(true, 0), (false, 1)] {
        let pages = pages(&user, &format!("/tasks?limit=7&completed={completed}")).await;
        let expected: Vec<String> = created.iter().skip(first).step_by(2).cloned().collect();
        assert_eq!(pages.iter().flat_map(ids).collect::<Vec<_>>(), expected, "completed={completed}");
    }
}

#[tokio::test]
async fn the_link_to_the_next_page_is_only_a_query() {
    let user = Api::shared().user().await;
    create(&user, 3).await;
    let cursor = Regex::new(r#"^<\?(completed=false&)?limit=1&cursor=[A-Za-z0-9_-]+>; rel="next"$"#).unwrap();
    for path in ["/tasks?limit=1", "/tasks?limit=1&completed=false"] {
        let page = user.get(path).await.expect(200);
        assert!(cursor.is_match(page.header("link")), "{:?}", page.header("link"));
    }
    assert_eq!(user.get("/tasks").await.expect(200).header("link"), "", "the last page");
}

#[tokio::test]
async fn tasks_with_the_same_timestamp_are_paged_through_as_well() {
    let user = Api::shared().user().await;
    create(&user, 9).await;
    let database = connect_to_stack().await;
    let sql = "UPDATE tasks SET created_at = '2026-01-01' WHERE user_id = $1::text::uuid";
    database.query_typed(sql, &[(&user.id, tokio_postgres::types::Type::TEXT)]).await.unwrap();
    let whole = ids(&user.get("/tasks").await.expect(200));
    assert_eq!(pages(&user, "/tasks?limit=2").await.iter().flat_map(ids).collect::<Vec<_>>(), whole);
}

#[tokio::test]
async fn paging_while_tasks_come_and_go_neither_skips_nor_repeats_the_others() {
    let user = Api::shared().user().await;
    let created = create(&user, 30).await;
    // Between two pages, tasks are created, and every third of the first ones is deleted.
    let (mut to_delete, mut seen) = (created.iter().step_by(3), Vec::new());
    let mut page = user.get("/tasks?limit=4").await.expect(200);
    loop {
        seen.extend(ids(&page));
        user.task("new").await;
        for id in to_delete.by_ref().take(2) {
            user.delete(&format!("/tasks/{id}")).await.expect(204);
        }
        match next(&user, &page) {
            Some(next) => page = user.get(&next).await.expect(200),
            None => break,
        }
    }
    let kept: Vec<&String> = created.iter().enumerate().filter(|(n, _)| n % 3 != 0).map(|(_, id)| id).collect();
    let seen_of_kept: Vec<&String> = seen.iter().filter(|id| kept.contains(id)).collect();
    assert_eq!(seen_of_kept, kept);
    assert!(seen.iter().all(|id| created.contains(id)), "new tasks are on no later page");
}

#[tokio::test]
async fn a_cursor_outlives_its_task_and_gives_no_access_to_another_user() {
    let (user, other) = two_users().await;
    let created = create(&user, 3).await;
    let theirs = create(&other, 1).await;
    let next = next(&user, &user.get("/tasks?limit=1").await.expect(200)).unwrap();
    user.delete(&format!("/tasks/{}", created[0])).await.expect(204);
    assert_eq!(ids(&user.get(&next).await.expect(200)), created[1..2]);
    let others = ids(&other.get(&next).await.expect(200));
    assert!(others.iter().all(|id| theirs.contains(id)), "{others:?}");
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let user = Api::shared().user().await;
    create(&user, 2).await;
    let cursor = next(&user, &user.get("/tasks?limit=1").await.expect(200)).unwrap();
    let (_, cursor) = cursor.split_once("cursor=").unwrap();
    for (query, name) in [
        ("limit=0".to_owned(), "limit"),
        ("limit=101".to_owned(), "limit"),
        ("limit=-1".to_owned(), "limit"),
        ("limit=1.5".to_owned(), "limit"),
        ("limit=".to_owned(), "limit"),
        ("limit=%2B5".to_owned(), "limit"),
        ("limit=+5".to_owned(), "limit"),
        ("limit=5%0A".to_owned(), "limit"),
        ("limit=99999999999999999999".to_owned(), "limit"),
        ("limit=1&limit=2".to_owned(), "limit"),
        ("limit=1%00".to_owned(), "limit"),
        ("completed=yes".to_owned(), "completed"),
        ("completed=True".to_owned(), "completed"),
        ("completed=".to_owned(), "completed"),
        ("cursor=".to_owned(), "cursor"),
        ("cursor=x".to_owned(), "cursor"),
        (format!("cursor={}", &cursor[1..]), "cursor"),
        (format!("cursor={cursor}A"), "cursor"),
        (format!("cursor={}", "_".repeat(32)), "cursor"),
        ("cursor=%F0%9F%92%A5".to_owned(), "cursor"),
        ("Limit=1".to_owned(), "Limit"),
        ("offset=1".to_owned(), "offset"),
    ] {
        let reply = user.get(&format!("/tasks?{query}")).await.expect(400);
        let detail: &Value = &reply.body["detail"];
        assert!(detail.as_str().unwrap().contains(&format!("\"{name}\"")), "{query}: {detail}");
    }
}
