//! A task that is changed elsewhere while it is shown.

use serde_json::{Value, json};
use tests::{
    api::{Api, User, task_path},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;

/// Opens the page as a user with a task.
async fn open_list(page: &Page) -> (User, Value) {
    let user = Api::shared().user().await;
    let task = user.task("Buy milk").await;
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.wait_for_titles(&["Buy milk"]).await;
    (user, task)
}

#[tokio::test]
async fn an_edit_of_a_task_changed_elsewhere_overwrites_nothing_unseen_and_loses_no_input() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.press_button("Edit: Buy milk").await;
        page.fill("Title", "Buy oat milk").await;
        user.put(&task_path(&task), &json!({ "title": "Buy soy milk", "description": "One bottle" })).await.expect(200);

        page.press_button("Save").await;
        page.wait_for_text("This task was changed elsewhere").await;
        let shown = page.text(".conflict").await;
        assert!(shown.contains("Buy soy milk") && shown.contains("One bottle"), "{shown}");
        assert_eq!(page.run("return document.getElementById('edit-title').value").await, "Buy oat milk");
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy soy milk", "nothing is overwritten yet");

        // The version that has been shown may be overwritten now, but not a newer one.
        user.put(&task_path(&task), &json!({ "completed": true })).await.expect(200);
        page.press_button("Save mine over it").await;
        page.wait_for("the newer version", "document.querySelector('.conflict .meta').textContent === 'Done'").await;
        page.press_button("Save mine over it").await;
        page.wait_for_titles(&["Buy oat milk"]).await;
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy oat milk");

        // Or the user discards the edit.
        user.put(&task_path(&task), &json!({ "title": "Buy no milk" })).await.expect(200);
        page.press_button("Edit: Buy oat milk").await;
        page.fill("Title", "Buy more milk").await;
        page.press_button("Save").await;
        page.press_button("Use this version instead").await;
        page.press_button("Save").await;
        page.wait_for_titles(&["Buy no milk"]).await;
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy no milk");
    })
    .await;
}

#[tokio::test]
async fn a_task_changed_elsewhere_is_neither_completed_nor_deleted_unseen() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        user.put(&task_path(&task), &json!({ "title": "Sell milk" })).await.expect(200);
        page.tab_to("Done: Buy milk").await;
        page.press(Key::Space).await;
        page.wait_for_text("This task was changed elsewhere in the meantime. This is how it is now.").await;
        page.wait_for_titles(&["Sell milk"]).await;
        assert_eq!(page.run("return document.querySelector('.check').checked").await, false);

        user.put(&task_path(&task), &json!({ "title": "Sell cheese" })).await.expect(200);
        page.press_button("Delete: Sell milk").await;
        page.press_button("Delete").await;
        page.wait_for_text("This task was changed elsewhere in the meantime, and has not been deleted.").await;
        assert!(page.text("#delete").await.contains("Sell cheese"));
        assert_eq!(user.get(&task_path(&task)).await.body["completed"], false);
        page.press_button("Keep it").await;

        page.press_button("Edit: Sell cheese").await;
        page.fill("Title", "Eat cheese").await;
        user.delete(&task_path(&task)).await.expect(204);
        page.press_button("Save").await;
        page.wait_for_text("This task is not there any more").await;
        assert_eq!(page.run("return document.getElementById('edit-title').value").await, "Eat cheese");
        page.press_button("Cancel").await;
        page.wait_for_text("Nothing here yet.").await;
    })
    .await;
}
