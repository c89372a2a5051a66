//! The list: its rows, moving through them, ticking and deleting, and Undo.

use serde_json::{Value, json};
use tests::{
    api::{Api, User, task_path},
    browser::{Page, page_url, with_browser},
    server::{Settings, TestServer},
};
use thirtyfour::Key;

/// Opens the page as a new user with tasks of these titles, the first one on top.
async fn open_list(page: &Page, titles: &[&str]) -> User {
    let user = Api::shared().user().await;
    for title in titles.iter().rev() {
        user.task(title).await;
    }
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.wait_for_titles(titles).await;
    user
}

async fn wait_for_focus(page: &Page, name: &str) {
    let focused = format!("document.activeElement.getAttribute('aria-label') === {}", json!(name));
    page.wait_for(name, &focused).await;
}

#[tokio::test]
async fn the_list_is_one_tab_stop_and_arrows_move_through_it() {
    with_browser(async |page| {
        open_list(page, &["One", "Two", "Three"]).await;
        page.focus_task("One").await;
        page.press(Key::Up).await;
        assert_eq!(page.focused().await, "Done: One", "there is none above");
        page.press(Key::Down).await;
        assert_eq!(page.focused().await, "Done: Two");
        page.press(Key::Right).await;
        assert_eq!(page.focused().await, "Edit: Two");
        page.press(Key::Right).await;
        assert_eq!(page.focused().await, "Delete: Two");
        page.press(Key::Left).await;
        page.press(Key::Left).await;
        assert_eq!(page.focused().await, "Done: Two");
        page.press(Key::End).await;
        assert_eq!(page.focused().await, "Done: Three");
        page.press(Key::Home).await;
        assert_eq!(page.focused().await, "Done: One");
        page.press(Key::Down).await;

        // Tab leaves the list, and comes back to the row it left.
        page.press(Key::Tab).await;
        assert_eq!(page.run("return document.activeElement.closest('#tasks')").await, Value::Null);
        page.tab_to("Done: Two").await;
        let stops = page.run("return document.querySelectorAll('#tasks [tabindex=\"0\"]').length").await;
        assert_eq!(stops, 1);
    })
    .await;
}

#[tokio::test]
async fn ticks_and_deletions_ask_nothing_and_are_undone_the_last_one_first() {
    with_browser(async |page| {
        let user = open_list(page, &["One", "Two", "Three"]).await;
        page.stop_undo_clock().await;
        page.tick("One").await;
        page.wait_for_text("Done: One").await;
        page.focus_task("Two").await;
        page.press(Key::Delete).await;
        page.wait_for_titles(&["One", "Three"]).await;
        assert_eq!(page.focused().await, "Done: Three", "the focus stays in the list");
        page.wait_for_text("Deleted: Two").await;
        page.press(Key::Backspace).await;
        page.wait_for_titles(&["One"]).await;
        assert_eq!(page.focused().await, "Done: One");
        page.wait_for_text("Deleted: Three").await;

        page.press_button("Undo").await;
        page.wait_for_titles(&["One", "Three"]).await;
        wait_for_focus(page, "Done: Three").await;
        page.type_text("u").await;
        page.wait_for_titles(&["One", "Two", "Three"]).await;
        wait_for_focus(page, "Done: Two").await;
        page.press_with_control("z").await;
        page.wait_for("the tick to go", "!document.querySelector('.task.completed')").await;
        wait_for_focus(page, "Done: One").await;
        page.wait_for("nothing to undo", "document.querySelector('#undo button').hidden").await;

        page.wait_until_sent().await;
        let tasks = user.get("/tasks").await.expect(200).body;
        assert_eq!(tasks.as_array().expect("tasks").len(), 3);
        assert!(tasks.as_array().expect("tasks").iter().all(|task| task["completed"] == false), "{tasks}");
    })
    .await;
}

#[tokio::test]
async fn an_undo_is_offered_for_its_time_which_stands_still_while_it_is_focused() {
    with_browser(async |page| {
        open_list(page, &["One", "Two"]).await;
        // What the page takes for the time is in our hands.
        page.run("window.passed = 0; performance.now = () => window.passed").await;
        page.tick("One").await;
        page.tab_to("Undo").await;
        page.run("window.passed += 60_000").await;
        page.press(Key::Tab).await;
        assert_eq!(page.run("return document.querySelector('#undo button').hidden").await, false);

        page.run("window.passed += 60_000").await;
        page.tick("Two").await;
        page.wait_for_text("Done: Two").await;
        page.type_text("u").await;
        page.wait_for("nothing else to undo", "document.querySelector('#undo button').hidden").await;
        page.wait_for("one tick to go", "document.querySelectorAll('.task.completed').length === 1").await;
        assert_eq!(page.text(".task.completed .title").await, "One");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_leaves_the_view_leaves_the_focus_to_its_neighbour() {
    with_browser(async |page| {
        open_list(page, &["One", "Two", "Three"]).await;
        page.stop_undo_clock().await;
        page.tab_to("All").await;
        page.press(Key::Right).await;
        page.tick("Two").await;
        page.wait_for_titles(&["One", "Three"]).await;
        assert_eq!(page.focused().await, "Done: Three");
        page.press(Key::Space).await;
        page.wait_for_titles(&["One"]).await;
        assert_eq!(page.focused().await, "Done: One");

        // By pointer, too; the row stays for a moment.
        page.click(".task .check").await;
        page.wait_for_titles(&[]).await;
        page.wait_for_text("Nothing left to do.").await;
        assert_eq!(page.focused().await, "Your tasks");
        page.type_text("u").await;
        page.wait_for_titles(&["One"]).await;
        wait_for_focus(page, "Done: One").await;
    })
    .await;
}

#[tokio::test]
async fn a_row_says_when_a_task_is_due_how_urgent_it_is_and_its_tags() {
    with_browser(async |page| {
        let user = Api::shared().user().await;
        page.open(&page_url()).await;
        let yesterday = "const date = new Date(); date.setDate(date.getDate() - 1); return date.toISOString()";
        let values = json!({
            "title": "Send the invoice", "description": "Two extra days", "due_date": page.run(yesterday).await,
            "priority": 1, "tags": ["work", "home"], "status": "in_progress",
        });
        user.post("/tasks", &values).await.expect(201);
        page.sign_in(&user.email).await;
        page.wait_for_titles(&["Send the invoice"]).await;
        let facts = page.run("return document.querySelector('.facts').textContent").await;
        let facts = facts.as_str().expect("a text");
        for fact in ["In progress", "Due Overdue · yesterday", "Priority 1", "#home", "#work"] {
            assert!(facts.contains(fact), "{facts:?} has no {fact:?}");
        }
        // What is done is not late.
        page.tick("Send the invoice").await;
        page.wait_for("no word of it", "!document.querySelector('.facts').textContent.includes('Overdue')").await;
    })
    .await;
}

#[tokio::test]
async fn a_long_list_has_the_rows_near_the_screen_and_its_last_one_at_a_key() {
    with_browser(async |page| {
        let titles: Vec<_> = (1..=300).map(|number| format!("Task {number}")).collect();
        let user = Api::shared().user().await;
        for title in titles.iter().rev() {
            user.task(title).await;
        }
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.wait_for("all tasks", "document.querySelector('.task')?.getAttribute('aria-setsize') === '300'").await;
        let is_seen = "(() => {
            const { top, bottom } = document.activeElement.getBoundingClientRect();
            return top >= 0 && bottom <= innerHeight && document.querySelectorAll('.task').length <= 150;
        })()";
        page.focus_task("Task 1").await;
        for (key, place) in [(Key::End, 300), (Key::Up, 299), (Key::Home, 1)] {
            page.press(key).await;
            assert_eq!(page.focused().await, format!("Done: Task {place}"));
            page.wait_for("the row to be seen", is_seen).await;
            let told = page.run("return document.activeElement.closest('.task').getAttribute('aria-posinset')").await;
            assert_eq!(told, place.to_string());
        }
        for _ in 1..=120 {
            page.press(Key::Down).await;
        }
        assert_eq!(page.focused().await, "Done: Task 121");
        page.wait_for("the row to be seen", is_seen).await;

        // Wherever it is scrolled to, there are rows, and the focus stays in its own.
        for (place, title) in [("document.body.scrollHeight", "Task 300"), ("0", "Task 1")] {
            page.run(&format!("scrollTo(0, {place})")).await;
            let is_there = "[...document.querySelectorAll('.task')].some((it) => {
                const { top, bottom } = it.getBoundingClientRect();
                return it.querySelector('.title').textContent === TITLE && bottom > 0 && top < innerHeight;
            })";
            page.wait_for(title, &is_there.replace("TITLE", &json!(title).to_string())).await;
            assert_eq!(page.focused().await, "Done: Task 121");
        }
    })
    .await;
}

#[tokio::test]
async fn what_changes_elsewhere_moves_neither_the_focus_nor_the_rows_under_the_eye() {
    with_browser(async |page| {
        let titles: Vec<_> = (1..=60).map(|number| format!("Task {number}")).collect();
        let user = open_list(page, &titles.iter().map(String::as_str).collect::<Vec<_>>()).await;
        page.focus_task("Task 30").await;
        let place = "document.activeElement.getBoundingClientRect().top";
        page.run(&format!("window.before = {place}")).await;
        user.task("From elsewhere").await;
        let last = user.get("/tasks?sort=created_at&limit=1").await.expect(200).body[0].clone();
        user.put(&task_path(&last), &json!({ "title": "Renamed elsewhere" })).await.expect(200);
        page.run("dispatchEvent(new Event('focus'))").await;
        page.wait_for_text("From elsewhere").await;
        page.wait_for_text("Renamed elsewhere").await;
        assert_eq!(page.focused().await, "Done: Task 30");
        page.wait_for("the row to be where it was", &format!("Math.abs({place} - before) <= 1")).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_server_refuses_keeps_its_words_to_be_sent_again_changed_or_dropped() {
    let server = TestServer::start(&Settings::shared().with("TASK_LIMIT", "2"));
    with_browser(async |page| {
        let user = server.api.user().await;
        let first = user.task("One").await;
        user.task("Two").await;
        page.open(&server.api.url("/")).await;
        page.sign_in(&user.email).await;
        page.stop_undo_clock().await;
        page.fill("New task", "One too many").await;
        page.press(Key::Enter).await;
        page.wait_for_text("Not saved.").await;
        assert_eq!(page.titles().await, ["One too many", "Two", "One"]);

        // Changed, and refused again; dropped, and taken back.
        page.press_button("Edit").await;
        page.fill("Title", "One more").await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["One more", "Two", "One"]).await;
        page.press_button("Discard").await;
        page.wait_for_titles(&["Two", "One"]).await;
        page.press_button("Undo").await;
        page.wait_for_titles(&["One more", "Two", "One"]).await;
        page.wait_for_text("Not saved.").await;

        user.delete(&task_path(&first)).await.expect(204);
        page.press_button("Try again").await;
        page.wait_for("no note", "!document.querySelector('.note')").await;
        page.wait_until_sent().await;
        let tasks = user.get("/tasks").await.expect(200).body;
        assert_eq!(tasks[0]["title"], "One more");
    })
    .await;
}
