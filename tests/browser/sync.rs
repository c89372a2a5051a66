//! What is written on the page and what the server has: nothing is lost or doubled on the way, whatever the network does.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    api::{Api, User, task_path},
    browser::{Page, page_url, with_browser, with_profile},
    relay::Relay,
    server::{Settings, TestServer},
};
use thirtyfour::Key;

/// Opens the page as a new user with tasks of these titles, the first one on top.
async fn open_list(page: &Page, url: &str, titles: &[&str]) -> User {
    let user = Api::shared().user().await;
    for title in titles.iter().rev() {
        user.task(title).await;
    }
    page.open(url).await;
    page.sign_in(&user.email).await;
    page.wait_for_titles(titles).await;
    user
}

/// The tasks on the server, newest first; at most 100.
async fn on_server(user: &User) -> Vec<Value> {
    user.get("/tasks?limit=100").await.expect(200).body.as_array().expect("tasks").clone()
}

async fn titles_on_server(user: &User) -> Vec<String> {
    on_server(user).await.iter().map(|task| task["title"].as_str().expect("a title").to_owned()).collect()
}

/// Adds tasks as fast as the keys can be sent.
async fn type_titles(page: &Page, titles: &[String]) {
    page.tab_to("New task").await;
    for title in titles {
        page.type_text(title).await;
        page.press(Key::Enter).await;
    }
}

#[tokio::test]
async fn titles_typed_faster_than_the_network_answers_are_all_there_in_order() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &[]).await;
        page.emulate_latency(Duration::from_millis(400)).await;
        let titles: Vec<_> = (1..=50).map(|number| format!("Sliced bread, the loaf number {number}")).collect();
        type_titles(page, &titles).await;
        let newest_first: Vec<_> = titles.iter().rev().map(String::as_str).collect();
        // Shown before they are sent.
        page.wait_for_titles(&newest_first).await;
        page.emulate_latency(Duration::ZERO).await;
        page.wait_until_sent().await;
        assert_eq!(titles_on_server(&user).await, newest_first);
    })
    .await;
}

#[tokio::test]
async fn a_reload_while_changes_are_on_their_way_loses_and_doubles_none() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &["Buy milk"]).await;
        page.emulate_latency(Duration::from_millis(400)).await;
        let titles: Vec<_> = (1..=12).map(|number| format!("Task {number}")).collect();
        for part in titles.chunks(4) {
            type_titles(page, part).await;
            page.reload().await;
        }
        page.emulate_latency(Duration::ZERO).await;
        page.wait_until_sent().await;
        let mut expected: Vec<_> = titles.iter().rev().map(String::as_str).collect();
        expected.push("Buy milk");
        assert_eq!(titles_on_server(&user).await, expected);
        page.wait_for_titles(&expected).await;
    })
    .await;
}

#[tokio::test]
async fn changes_made_without_a_network_outlive_the_browser_and_go_out_once() {
    let user = Api::shared().user().await;
    let profile = TempDir::new().expect("a folder");
    let (relay, url) = Relay::in_front_of(&page_url()).await;
    with_profile(profile.path(), async |page| {
        user.task("Buy milk").await;
        page.open(&url).await;
        page.sign_in(&user.email).await;
        page.wait_for_titles(&["Buy milk"]).await;
        relay.refuse(true);
        relay.cut();
        type_titles(page, &["Paint the fence".to_owned(), "Mow the lawn".to_owned()]).await;
        page.wait_for_text("changes are kept here").await;
    })
    .await;
    relay.refuse(false);
    with_profile(profile.path(), async |page| {
        page.open(&url).await;
        let titles = ["Mow the lawn", "Paint the fence", "Buy milk"];
        page.wait_for_titles(&titles).await;
        page.wait_until_sent().await;
        assert_eq!(titles_on_server(&user).await, titles);
    })
    .await;
}

#[tokio::test]
async fn a_new_task_that_is_deleted_and_brought_back_without_a_network_has_its_place_again() {
    let (relay, url) = Relay::in_front_of(&page_url()).await;
    with_browser(async |page| {
        let user = open_list(page, &url, &["Buy milk"]).await;
        page.stop_undo_clock().await;
        relay.refuse(true);
        relay.cut();
        type_titles(page, &["Paint the fence".to_owned(), "Mow the lawn".to_owned()]).await;
        let titles = ["Mow the lawn", "Paint the fence", "Buy milk"];
        page.wait_for_titles(&titles).await;
        page.focus_task("Paint the fence").await;
        page.press(Key::Delete).await;
        page.wait_for_titles(&["Mow the lawn", "Buy milk"]).await;
        page.press_button("Undo").await;
        page.wait_for_titles(&titles).await;
        relay.refuse(false);
        page.run("dispatchEvent(new Event('focus'))").await;
        page.wait_until_sent().await;
        assert_eq!(titles_on_server(&user).await, titles);
    })
    .await;
}

#[tokio::test]
async fn a_change_without_a_network_is_the_last_one_at_once_and_stays_so() {
    let (relay, url) = Relay::in_front_of(&page_url()).await;
    with_browser(async |page| {
        let user = open_list(page, &format!("{url}?sort=-updated_at"), &["Buy milk", "Sweep", "Paint the fence"]).await;
        relay.refuse(true);
        relay.cut();
        page.tick("Sweep").await;
        page.wait_for_titles(&["Sweep", "Buy milk", "Paint the fence"]).await;
        type_titles(page, &["Mow the lawn".to_owned()]).await;
        page.tick("Paint the fence").await;
        let titles = ["Paint the fence", "Mow the lawn", "Sweep", "Buy milk"];
        page.wait_for_titles(&titles).await;
        relay.refuse(false);
        page.run("dispatchEvent(new Event('focus'))").await;
        page.wait_until_sent().await;
        let on_server = user.get("/tasks?sort=-updated_at").await.expect(200).body;
        let on_server = on_server.as_array().expect("tasks").iter().map(|task| &task["title"]);
        assert_eq!(on_server.collect::<Vec<_>>(), titles);
        assert_eq!(page.titles().await, titles);
    })
    .await;
}

#[tokio::test]
async fn two_tabs_show_one_list_and_send_each_change_once() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &["Buy milk"]).await;
        page.new_tab().await;
        page.open(&page_url()).await;
        page.wait_for_titles(&["Buy milk"]).await;
        type_titles(page, &["From the second".to_owned()]).await;
        page.switch_to_tab(0).await;
        page.wait_for_titles(&["From the second", "Buy milk"]).await;
        type_titles(page, &["From the first".to_owned()]).await;
        page.tick("Buy milk").await;
        page.switch_to_tab(1).await;
        page.wait_for_titles(&["From the first", "From the second", "Buy milk"]).await;
        page.wait_for("the tick", "document.querySelectorAll('.check')[2].checked").await;
        page.wait_until_sent().await;
        assert_eq!(titles_on_server(&user).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_first_tick_is_one_request() {
    let server = TestServer::start(&Settings::shared());
    let user = server.user().await;
    let task = user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(&server.api.url("/")).await;
        page.sign_in(&user.email).await;
        page.wait_for_titles(&["Buy milk"]).await;
        page.wait_until_sent().await;
        let before = server.requests().len();
        page.tick("Buy milk").await;
        page.wait_until_sent().await;
        let after = server.requests();
        // The account's address and the list are asked for at any time.
        let routes = after[before..].iter().map(|line| line["route"].as_str().expect("a route"));
        let of_task: Vec<_> = routes.filter(|route| route.contains("{task_id}")).collect();
        assert_eq!(of_task, ["PUT /users/{user_id}/tasks/{task_id}"]);
        assert_eq!(user.get(&task_path(&task)).await.body["status"], "completed");
    })
    .await;
}

#[tokio::test]
async fn what_changes_on_another_device_is_there_when_the_tab_is_looked_at_again() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &["Buy milk", "Paint the fence", "Mow the lawn"]).await;
        let tasks = on_server(&user).await;
        user.put(&task_path(&tasks[0]), &json!({ "title": "Buy oat milk" })).await.expect(200);
        user.delete(&task_path(&tasks[1])).await.expect(204);
        user.task("Book the train").await;
        page.run("dispatchEvent(new Event('focus'))").await;
        page.wait_for_titles(&["Book the train", "Buy oat milk", "Mow the lawn"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_tick_and_a_rename_of_one_task_on_two_devices_do_not_collide() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &["Buy milk"]).await;
        let task = on_server(&user).await.remove(0);
        user.put(&task_path(&task), &json!({ "title": "Buy oat milk", "tags": ["shop"] })).await.expect(200);
        page.tick("Buy milk").await;
        page.wait_for_titles(&["Buy oat milk"]).await;
        page.wait_until_sent().await;
        let task = on_server(&user).await.remove(0);
        assert_eq!((&task["title"], &task["status"]), (&json!("Buy oat milk"), &json!("completed")));
    })
    .await;
}

#[tokio::test]
async fn two_devices_of_which_one_was_offline_end_equal() {
    with_browser(async |first| {
        let user = open_list(first, &page_url(), &["Buy milk", "Paint the fence", "Mow the lawn"]).await;
        with_browser(async |second| {
            second.open(&page_url()).await;
            second.sign_in(&user.email).await;
            second.wait_for_titles(&["Buy milk", "Paint the fence", "Mow the lawn"]).await;
            second.set_offline(true).await;
            second.edit_title("Buy milk", "Buy oat milk").await;
            second.tick("Mow the lawn").await;
            type_titles(second, &["Written on the train".to_owned()]).await;

            first.tick("Buy milk").await;
            first.edit_title("Mow the lawn", "Mow the whole lawn").await;
            type_titles(first, &["Written at home".to_owned()]).await;
            first.wait_until_sent().await;

            second.set_offline(false).await;
            second.wait_until_sent().await;
            let tasks = on_server(&user).await;
            let server: Vec<_> = tasks.iter().map(|it| it["title"].as_str().expect("a title")).collect();
            assert_eq!(server.len(), 5, "{server:?}");
            for page in [first, second] {
                page.run("dispatchEvent(new Event('focus'))").await;
                page.wait_for_titles(&server).await;
            }
            let status = |title: &str| tasks.iter().find(|it| it["title"] == title).expect(title)["status"].clone();
            assert_eq!(
                (status("Buy oat milk"), status("Mow the whole lawn")),
                (json!("completed"), json!("completed"))
            );
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn words_that_the_server_refuses_stay_in_their_row_and_can_be_sent_again() {
    let server = TestServer::start(&Settings::shared().with("TASK_LIMIT", "2"));
    let user = server.user().await;
    user.task("One").await;
    let second = user.task("Two").await;
    with_browser(async |page| {
        page.open(&server.api.url("/")).await;
        page.sign_in(&user.email).await;
        page.wait_for_titles(&["Two", "One"]).await;
        type_titles(page, &["Three".to_owned()]).await;
        page.wait_for_text("Try again").await;
        page.wait_for_titles(&["Three", "Two", "One"]).await;
        page.reload().await;
        page.wait_for_titles(&["Three", "Two", "One"]).await;
        user.delete(&task_path(&second)).await.expect(204);
        page.run("dispatchEvent(new Event('focus'))").await;
        page.wait_for_titles(&["Three", "One"]).await;
        page.press_button("Try again").await;
        page.wait_for_titles(&["Three", "One"]).await;
        page.wait_until_sent().await;
        assert_eq!(titles_on_server(&user).await, ["Three", "One"]);
    })
    .await;
}

#[tokio::test]
async fn signing_out_leaves_nothing_on_the_device() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &["Ada's secret"]).await;
        page.fill("New task", "Ada's draft").await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        let kept = r#"
            const kept = [...Object.values(localStorage), ...Object.values(sessionStorage)];
            for (const { name } of await indexedDB.databases()) {
                const database = await new Promise((resolve) => {
                    indexedDB.open(name).onsuccess = (event) => resolve(event.target.result);
                });
                for (const store of database.objectStoreNames) {
                    const request = database.transaction(store).objectStore(store).getAll();
                    kept.push(...(await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)))));
                }
            }
            return kept;"#;
        assert_eq!(page.run_async(kept).await, json!([]));
        assert_eq!(titles_on_server(&user.signed_in_again().await).await, ["Ada's secret"]);
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_keeps_nothing_shows_and_sends_everything() {
    let broken = [
        // As in some private windows.
        "Object.defineProperty(globalThis, 'indexedDB', { get() { throw new DOMException('', 'SecurityError'); } })",
        // As with a full disk.
        "IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError'); }",
    ];
    for script in broken {
        with_browser(async |page| {
            page.run_before_pages(script).await;
            let user = open_list(page, &page_url(), &["Buy milk", "Paint the fence"]).await;
            type_titles(page, &["Mow the lawn".to_owned()]).await;
            page.edit_title("Buy milk", "Buy oat milk").await;
            page.wait_until_sent().await;
            let titles = ["Mow the lawn", "Buy oat milk", "Paint the fence"];
            assert_eq!(titles_on_server(&user).await, titles);
            page.reload().await;
            page.wait_for_titles(&titles).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_deletion_can_be_undone_after_another_tab_was_closed_or_reloaded() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &["Buy milk", "Paint the fence"]).await;
        page.stop_undo_clock().await;
        let now = page.run("return Date.now()").await;
        page.new_tab().await;
        page.run_before_pages(&format!("Date.now = () => {now}")).await;
        page.open(&page_url()).await;
        page.wait_for_titles(&["Buy milk", "Paint the fence"]).await;
        page.switch_to_tab(0).await;
        page.focus_task("Buy milk").await;
        page.press(Key::Delete).await;
        page.switch_to_tab(1).await;
        page.wait_for_titles(&["Paint the fence"]).await;
        page.reload().await;
        page.wait_for_list().await;
        page.switch_to_tab(0).await;
        page.press_button("Undo").await;
        page.wait_for_titles(&["Buy milk", "Paint the fence"]).await;
        page.wait_until_sent().await;
        page.run("dispatchEvent(new Event('focus'))").await;
        assert_eq!(titles_on_server(&user).await, ["Buy milk", "Paint the fence"]);
    })
    .await;
}

#[tokio::test]
async fn a_pasted_list_is_kept_as_a_whole_when_the_page_is_left_at_once() {
    with_browser(async |page| {
        let user = open_list(page, &page_url(), &[]).await;
        let titles: Vec<_> = (1..=60).map(|number| format!("Line {number}")).collect();
        let paste = format!(
            "const clipboardData = new DataTransfer();
             clipboardData.setData('text/plain', {});
             const field = document.getElementById('add-title');
             field.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData, bubbles: true, cancelable: true }}));
             field.form.requestSubmit();
             location.reload();",
            json!(titles.join("\n"))
        );
        page.run(&paste).await;
        page.wait_for("the last line", "document.querySelector('.task:not(.unsent) .title')").await;
        page.wait_for_list().await;
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while titles_on_server(&user).await != titles {
            assert!(std::time::Instant::now() < deadline, "{:?}", titles_on_server(&user).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}
