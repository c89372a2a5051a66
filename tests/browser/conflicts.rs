//! A task that is changed elsewhere while it is changed here.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    api::{Api, User, task_path},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;
use tokio::time::{sleep, timeout};

/// Opens the page as a user with a task.
async fn open_list(page: &Page) -> (User, Value) {
    let user = Api::shared().user().await;
    let task = user.task("Buy milk").await;
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.wait_for_titles(&["Buy milk"]).await;
    (user, task)
}

/// Edits the title here after it was changed elsewhere, and waits for the question.
async fn collide(page: &Page, user: &User, task: &Value, theirs: &str, mine: &str) {
    let title = page.titles().await.remove(0);
    page.focus_task(&title).await;
    page.press(Key::Enter).await;
    page.fill("Title", mine).await;
    user.put(&task_path(task), &json!({ "title": theirs })).await.expect(200);
    page.press_with_control(Key::Enter).await;
    page.wait_for_text("it was changed elsewhere, too").await;
}

async fn wait_for_no_note(page: &Page) {
    page.wait_for("the question to go", "!document.querySelector('.note')").await;
    page.wait_until_sent().await;
}

#[tokio::test]
async fn both_versions_of_a_field_are_shown_and_the_person_decides() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        collide(page, &user, &task, "Buy soy milk", "Buy oat milk").await;
        let note = page.text(".note").await;
        assert!(note.contains("Buy soy milk") && note.contains("Buy oat milk"), "{note}");
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy soy milk", "nothing is overwritten yet");
        page.press_button("Keep mine").await;
        wait_for_no_note(page).await;
        assert_eq!(page.focused().await, "Done: Buy oat milk");
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy oat milk");

        collide(page, &user, &task, "Buy rice milk", "Buy no milk").await;
        page.press_button("Use theirs").await;
        page.wait_for_titles(&["Buy rice milk"]).await;
        wait_for_no_note(page).await;
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy rice milk");
    })
    .await;
}

#[tokio::test]
async fn what_does_not_collide_is_merged_without_a_question() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        user.put(&task_path(&task), &json!({ "title": "Sell milk", "tags": ["shop"] })).await.expect(200);
        page.tick("Buy milk").await;
        page.wait_for_titles(&["Sell milk"]).await;
        page.wait_until_sent().await;
        let saved = user.get(&task_path(&task)).await.expect(200).body;
        assert_eq!((&saved["title"], &saved["completed"]), (&json!("Sell milk"), &json!(true)));
        assert_eq!(page.run("return document.querySelectorAll('.note').length").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_task_changed_elsewhere_is_not_deleted_unseen() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        for (title, choice) in [("Sell milk", "Keep it"), ("Sell cheese", "Delete anyway")] {
            let before = page.titles().await.remove(0);
            page.focus_task(&before).await;
            page.press(Key::Delete).await;
            page.wait_for_titles(&[]).await;
            user.put(&task_path(&task), &json!({ "title": title })).await.expect(200);
            // The deletion goes out when it can be undone no more.
            page.wait_for_titles(&[title]).await;
            page.wait_for_text("You deleted this task, but it was changed elsewhere: title.").await;
            page.press_button(choice).await;
            page.wait_for("the question to go", "!document.querySelector('.note')").await;
        }
        page.wait_for_titles(&[]).await;
        let deleted = async {
            while user.get(&task_path(&task)).await.status != 403 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(60), deleted).await.expect("the task is deleted");
    })
    .await;
}

#[tokio::test]
async fn a_task_deleted_elsewhere_is_created_again_or_let_go() {
    with_browser(async |page| {
        let (user, _) = open_list(page).await;
        for (title, choice, left) in [("Buy oat milk", "Create it again", 1), ("Buy no milk", "Let it go", 0)] {
            let task = user.get("/tasks").await.body[0].clone();
            let before = page.titles().await.remove(0);
            page.focus_task(&before).await;
            page.press(Key::Enter).await;
            page.fill("Title", title).await;
            user.delete(&task_path(&task)).await.expect(204);
            page.press_with_control(Key::Enter).await;
            page.wait_for_text("You changed this task, but it was deleted elsewhere.").await;
            page.press_button(choice).await;
            wait_for_no_note(page).await;
            assert_eq!(user.get("/tasks").await.body.as_array().expect("tasks").len(), left);
        }
        page.wait_for_text("Nothing here yet.").await;
        assert_eq!(page.focused().await, "Your tasks");
    })
    .await;
}
